package probe

import (
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// mostSockets bounds what is read of a table: one of a machine with a million connections takes a
// second.
const mostSockets = 1 << 20

// socketsOf says whether one of the processes has a listening TCP socket, and what they wait for an
// answer from: a connection that is being made, a name that is being asked for. What may not be
// looked at says nothing.
func socketsOf(pid int, processes []int) (listens bool, asks string) {
	held := inodes{}
	for _, p := range processes {
		_ = sys.EachFD(p, func(_ int, target string) bool {
			if inode := sys.SocketInode(target); inode != 0 {
				held[inode] = true
			}
			return true
		})
	}
	if len(held) == 0 {
		return false, ""
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		udp := strings.HasPrefix(table, "udp")
		// An error, such as no IPv6, leaves what has been found out.
		_ = sys.NetSockets(pid, table, mostSockets, func(s sys.NetSocket) bool {
			switch {
			case !held[s.Inode]:
			case !udp && s.State == sys.TCPListen:
				listens = true
			case !udp && s.State == sys.TCPSynSent:
				asks = fmt.Sprintf("it is connecting to %v", addrPort(s.Remote))
			case udp && s.State == sys.TCPEstablished && s.Remote.Port == 53:
				asks = fmt.Sprintf("it is asking the name server %v", addrPort(s.Remote).Addr())
			}
			return asks == ""
		})
	}
	return listens, asks
}
