package socket

import (
	"fmt"
	"math"
	"net/netip"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Connections counts the connections to listening sockets at this moment, those that nobody has
// accepted yet among them: of TCP by /proc/net/tcp and tcp6, of unix sockets by /proc/net/unix, all
// of the network namespace that we are in (proc(5)).
//
// It is a look and not a record: a connection that comes and goes between two looks is not seen.
// Only sockets that accept (Accepts) can be asked about.
func Connections(list []spec.Socket, fds []int) (int, error) {
	tcp, unix := map[netip.AddrPort]bool{}, map[string]bool{}
	for i, s := range list {
		switch {
		case s.Listen.Network == spec.NetTCP:
			addr, err := local(fds[i])
			if err != nil {
				return 0, err
			}
			tcp[netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())] = true
		case Accepts(s.Listen.Network):
			name, err := sys.SocketName(fds[i])
			if err != nil {
				return 0, err
			}
			unix[name] = true
		default:
			return 0, fmt.Errorf("socket %s has no connections to count", s.Listen)
		}
	}
	sum := 0
	for _, table := range []struct {
		name  string
		asked int
		is    func(sys.NetSocket) bool
	}{
		{"tcp", len(tcp), func(s sys.NetSocket) bool { return tcpConnection(s, tcp) }},
		{"tcp6", len(tcp), func(s sys.NetSocket) bool { return tcpConnection(s, tcp) }},
		{"unix", len(unix), func(s sys.NetSocket) bool { return unixConnection(s, unix) }},
	} {
		if table.asked == 0 {
			continue
		}
		err := sys.NetSockets(0, table.name, math.MaxInt64, func(s sys.NetSocket) bool {
			if table.is(s) {
				sum++
			}
			return true
		})
		if err != nil && !(os.IsNotExist(err) && table.name == "tcp6") { // a kernel without IPv6
			return 0, err
		}
	}
	return sum, nil
}

// tcpConnection says whether a socket is a connection to one of the addresses. Those after which
// nobody is served any more, such as TIME_WAIT, do not count.
func tcpConnection(s sys.NetSocket, to map[netip.AddrPort]bool) bool {
	switch s.State {
	case sys.TCPEstablished, sys.TCPSynReceived:
	case sys.TCPCloseWait: // the client has said all and may still read
	case sys.TCPFinWait1, sys.TCPFinWait2: // the service has said all and may still read
		if s.Inode == 0 {
			return false // the service has closed it; the kernel sees to the rest
		}
	default:
		return false
	}
	local, _ := netip.AddrFromSlice(s.Local.IP)
	for _, any := range []netip.Addr{local, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if to[netip.AddrPortFrom(any, s.Local.Port)] {
			return true
		}
	}
	return false
}

// unixConnection says whether a socket is a connection to one of the names: an accepted socket has
// the name of the one that it was accepted from.
func unixConnection(s sys.NetSocket, to map[string]bool) bool {
	connected := s.State == sys.UnixConnected || s.State == sys.UnixConnecting
	return connected && s.Name != "" && to[s.Name]
}
