package probe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// A socket belongs to every process that holds a descriptor of it, and the
// kernel tells which those are: /proc/net names the inodes of the sockets that
// listen, /proc/PID/fd the sockets a process holds, proc(5). A listener is
// provably a stranger's if
//
//   - no process of the service holds it, and we could look at all of them;
//   - a process that is not the service's holds it;
//   - that process is older than the service. A younger one may be the service's
//     own, escaped from its session, or serve on its behalf (docker-proxy).
//
// Everything else counts as the service. What is looked at is a snapshot: a
// process that comes or goes meanwhile is judged at the next attempt.

// A strangerError says who answered instead of the service.
type strangerError struct {
	what string // "port 8080"
	pid  int
	name string
}

func (e *strangerError) Error() string {
	return fmt.Sprintf("%s is held by pid %d (%s), which is not the daemon", e.what, e.pid, e.name)
}

// inodes are those of sockets; 0 is not among them.
type inodes map[uint64]bool

// judgeTCP returns an error if a stranger listens at addr, an address of this
// machine.
func judgeTCP(addr netip.AddrPort, env Env) error {
	held := inodes{}
	// An IPv6 socket may serve IPv4 as well: it is the one to look for when no
	// IPv4 socket listens.
	tables := []string{"tcp", "tcp6"}
	if addr.Addr().Is6() {
		tables = tables[1:]
	}
	for _, table := range tables {
		if err := listeners(table, addr, held); err != nil {
			return nil // no /proc, or not ours to read: nothing is provable
		}
		if len(held) > 0 {
			break
		}
	}
	return judge(fmt.Sprintf("port %d", addr.Port()), held, env)
}

// listeners adds the inodes of the sockets that accept connections to addr.
// The table shows listening sockets before all others, so that a machine with
// a million connections costs no more than another.
func listeners(table string, addr netip.AddrPort, held inodes) error {
	f, err := os.Open("/proc/net/" + table)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	for lines.Scan() {
		// sl local_address rem_address st queues timer retrnsmt uid timeout inode
		field := strings.Fields(lines.Text())
		if len(field) < 10 {
			continue
		}
		if field[3] != "0A" { // TCP_LISTEN
			break
		}
		local, ok := parseProcAddr(field[1])
		if !ok || local.Port() != addr.Port() ||
			local.Addr() != addr.Addr() && !local.Addr().IsUnspecified() {
			continue
		}
		if inode, err := strconv.ParseUint(field[9], 10, 64); err == nil && inode != 0 {
			held[inode] = true
		}
	}
	return lines.Err()
}

// parseProcAddr reads an address of /proc/net/tcp: 32-bit words of network
// order, each printed as a number of this machine's byte order, and the port.
func parseProcAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for w := range slices.Chunk(raw, 4) {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}

// judgeUnix returns an error if a stranger listens on the socket at path.
func judgeUnix(conn *net.UnixConn, path string, env Env) error {
	pid, err := listenerPID(conn)
	if err != nil {
		return nil
	}
	if pid > 0 && env.Owner(pid) {
		return nil
	}
	// Who called listen(2) may have handed the socket over (LISTEN_FDS), or
	// have forked and gone: what counts is who holds it now.
	held, err := unixListeners(path)
	if err != nil {
		return nil
	}
	return judge("socket "+path, held, env)
}

// listenerPID returns the process that called listen(2) on the other end; 0 if
// it is not in our pid namespace, or if conn is not connected to a listener,
// unix(7), SO_PEERCRED.
func listenerPID(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var call error
	err = raw.Control(func(fd uintptr) {
		var cred *syscall.Ucred
		if cred, call = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); call == nil {
			pid = int(cred.Pid)
		}
	})
	return pid, errors.Join(err, call)
}

// unixListeners returns the inodes of the listening sockets at path. The table
// shows the name as it was bound, which may be relative to a directory we do not
// know: whatever ends in the same name is taken, to the service's advantage.
func unixListeners(path string) (inodes, error) {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	held := inodes{}
	base := filepath.Base(path)
	for line := range strings.Lines(string(table)) {
		// Num RefCount Protocol Flags Type St Inode Path; a path may contain blanks.
		field := strings.Fields(line)
		if len(field) < 8 || field[3] != "00010000" { // SO_ACCEPTCON
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasSuffix(line, " "+base) && !strings.HasSuffix(line, "/"+base) {
			continue
		}
		if inode, err := strconv.ParseUint(field[6], 10, 64); err == nil && inode != 0 {
			held[inode] = true
		}
	}
	return held, nil
}

// judge returns a strangerError if what holds the sockets is provably not the
// service. In most cases one look at the main process is enough.
func judge(what string, held inodes, env Env) error {
	if len(held) == 0 {
		return nil
	}
	if env.PID > 0 {
		if yes, err := holds(env.PID, held); yes || err != nil {
			return nil
		}
	}
	strangers, err := strangersHolding(held, env)
	if err != nil || len(strangers) == 0 {
		return nil
	}
	for _, pid := range strangers {
		if env.PID > 0 && !older(pid, env.PID) {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			continue // gone
		}
		return &strangerError{what, pid, string(bytes.TrimSpace(name))}
	}
	return nil
}

// errOwned says that the service holds the socket, or may hold it.
var errOwned = errors.New("not provably a stranger's")

// strangersHolding returns the processes that hold one of the sockets, in
// ascending order; errOwned if one of the service's does, or cannot be looked at.
func strangersHolding(held inodes, env Env) ([]int, error) {
	proc, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var others, strangers []int
	for _, entry := range proc {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if !env.Owner(pid) {
			others = append(others, pid)
			continue
		}
		if yes, err := holds(pid, held); yes || err != nil {
			return nil, errOwned
		}
	}
	for _, pid := range others {
		// A stranger we may not look at is not proof.
		if yes, err := holds(pid, held); err == nil && yes {
			strangers = append(strangers, pid)
		}
	}
	slices.Sort(strangers)
	return strangers, nil
}

// holds tells whether a process has one of the sockets open. A process that is
// gone holds nothing.
func holds(pid int, held inodes) (bool, error) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err == nil {
		defer dir.Close()
		var fds []string
		if fds, err = dir.Readdirnames(-1); err == nil {
			return slices.ContainsFunc(fds, func(fd string) bool { return held[socketInode(dir.Name()+"/"+fd)] }), nil
		}
	}
	if sys.Gone(err) {
		return false, nil
	}
	return false, err
}

// socketInode reads the number from a link such as "socket:[4711]"; 0 for what
// is no socket, or is closed by now.
func socketInode(link string) uint64 {
	target, err := os.Readlink(link)
	if err != nil {
		return 0
	}
	text, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
	if err != nil {
		return 0
	}
	return inode
}

// older tells whether a was provably started before b.
func older(a, b int) bool {
	sa, erra := sys.ReadStat(a)
	sb, errb := sys.ReadStat(b)
	return erra == nil && errb == nil && sa.StartTime < sb.StartTime
}
