package check

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// socket is what /proc/PID/net tells of one of the sockets of the network
// namespace, by inode.
type socket struct {
	address  string // local: "127.0.0.1:80", "[::]:80", "/run/x.sock", "@name"
	serves   bool   // it listens, or is a bound datagram socket
	accepted bool   // it has the address of a listening socket
}

// socketOf returns what is known of the socket fd, nothing for what is none.
func (f *facts) socketOf(fd sys.FD) socket {
	if !fd.File.Is(syscall.S_IFSOCK) {
		return socket{}
	}
	return f.sockets()[fd.File.Inode]
}

// sockets reads the tables only when a socket without close-on-exec was found:
// on a busy host they are long.
func (f *facts) sockets() map[uint64]socket {
	if f.socketTable != nil {
		return f.socketTable
	}
	f.socketTable = map[uint64]socket{}
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "unix"} {
		// A table that is not there (no IPv6) or may not be read leaves its
		// sockets unknown, which is what they then are.
		_ = sys.NetSockets(f.stat.PID, name, math.MaxInt64, func(s sys.NetSocket) bool {
			addSocket(f.socketTable, name, s)
			return true
		})
	}
	f.markAccepted()
	return f.socketTable
}

// markAccepted finds the connections that came in through a listening socket
// which the process itself holds.
func (f *facts) markAccepted() {
	var listening []socket
	for _, fd := range f.fds {
		if s := f.socketTable[fd.File.Inode]; s.serves && fd.File.Is(syscall.S_IFSOCK) {
			listening = append(listening, s)
		}
	}
	for inode, s := range f.socketTable {
		s.accepted = !s.serves && s.address != "" &&
			slices.ContainsFunc(listening, func(l socket) bool {
				return l.address == s.address ||
					port(l.address) != "" && port(l.address) == port(s.address)
			})
		f.socketTable[inode] = s
	}
}

func port(address string) string {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		return strconv.Itoa(int(ap.Port()))
	}
	return ""
}

func addSocket(sockets map[uint64]socket, table string, s sys.NetSocket) {
	switch {
	case s.Inode == 0: // a connection in TIME_WAIT
	case table == "unix":
		serves := s.Accepts || s.Name != "" && s.Kind == sys.SOCK_DGRAM
		sockets[s.Inode] = socket{address: s.Name, serves: serves}
	default:
		ip, _ := netip.AddrFromSlice(s.Local.IP)
		serves := sys.TCPListen
		if !strings.HasPrefix(table, "tcp") {
			serves = sys.TCPClosed // a datagram socket that is not connected
		}
		address := netip.AddrPortFrom(ip, s.Local.Port).String()
		sockets[s.Inode] = socket{address: address, serves: s.State == serves}
	}
}
