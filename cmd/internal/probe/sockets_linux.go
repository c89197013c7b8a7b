package probe

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// netSocket is a line of /proc/net/tcp and its like.
type netSocket struct {
	local, remote netip.AddrPort
	state         string
	uid           int
	inode         uint64 // 0: no process holds it, or has yet
}

// States of TCP sockets, include/net/tcp_states.h. A connected UDP socket is "established".
const (
	tcpEstablished = "01"
	tcpSynSent     = "02"
	tcpListen      = "0A"
)

// readSockets gives f the sockets of a table until it returns false. It reads no more than most
// bytes.
func readSockets(table string, most int64, f func(netSocket) bool) error {
	file, err := os.Open(table)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, most))
	lines.Scan() // the heading
	for lines.Scan() {
		// sl local_address rem_address st queues timer retrnsmt uid timeout inode
		field := strings.Fields(lines.Text())
		if len(field) < 10 {
			continue
		}
		s := netSocket{state: field[3]}
		var ok bool
		if s.local, ok = parseProcAddr(field[1]); !ok {
			continue
		}
		s.remote, _ = parseProcAddr(field[2])
		s.uid, _ = strconv.Atoi(field[7])
		s.inode, _ = strconv.ParseUint(field[9], 10, 64)
		if !f(s) {
			return nil
		}
	}
	return lines.Err()
}

// mostSockets bounds what is read of a table: one of a machine with a million connections takes a
// second.
const mostSockets = 1 << 20

// socketsOf says whether one of the processes has a listening TCP socket, and what they wait for an
// answer from: a connection that is being made, a name that is being asked for. What may not be
// looked at says nothing.
func socketsOf(pid int, processes []int) (listens bool, asks string) {
	held := inodes{}
	for _, p := range processes {
		heldBy(p, held)
	}
	if len(held) == 0 {
		return false, ""
	}
	dir := fmt.Sprintf("/proc/%d/net/", pid) // of its network namespace
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		udp := strings.HasPrefix(table, "udp")
		// An error, such as no IPv6, leaves what has been found out.
		_ = readSockets(dir+table, mostSockets, func(s netSocket) bool {
			switch {
			case !held[s.inode]:
			case !udp && s.state == tcpListen:
				listens = true
			case !udp && s.state == tcpSynSent:
				asks = fmt.Sprintf("it is connecting to %v", s.remote)
			case udp && s.state == tcpEstablished && s.remote.Port() == 53:
				asks = fmt.Sprintf("it is asking the name server %v", s.remote.Addr())
			}
			return asks == ""
		})
	}
	return listens, asks
}

// heldBy adds the sockets that a process has open, as far as they may be seen.
func heldBy(pid int, held inodes) {
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	dir, err := os.Open(fds)
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if inode := socketInode(fds + "/" + name); inode != 0 {
			held[inode] = true
		}
	}
}
