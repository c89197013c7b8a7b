package socket

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

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
		count func(fields []string) bool
	}{
		{"tcp", len(tcp), func(f []string) bool { return tcpConnection(f, tcp) }},
		{"tcp6", len(tcp), func(f []string) bool { return tcpConnection(f, tcp) }},
		{"unix", len(unix), func(f []string) bool { return unixConnection(f, unix) }},
	} {
		if table.asked == 0 {
			continue
		}
		n, err := countLines("/proc/net/"+table.name, table.count)
		if os.IsNotExist(err) && table.name == "tcp6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func countLines(path string, count func(fields []string) bool) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	for lines.Scan() {
		if count(strings.Fields(lines.Text())) {
			n++
		}
	}
	return n, lines.Err()
}

// States of TCP in /proc/net/tcp (net/tcp_states.h). Those after which nobody is served any more,
// such as TIME_WAIT, do not count.
const (
	established = "01"
	synReceived = "03"
	finWait1    = "04" // the service has said all and may still read
	finWait2    = "05"
	closeWait   = "08" // the client has said all and may still read
)

// tcpConnection says whether a line is a connection to one of the addresses.
func tcpConnection(f []string, to map[netip.AddrPort]bool) bool {
	// sl local_address rem_address st queues timer retrnsmt uid timeout inode
	if len(f) < 10 {
		return false
	}
	switch f[3] {
	case established, synReceived, closeWait:
	case finWait1, finWait2:
		if f[9] == "0" {
			return false // the service has closed it; the kernel sees to the rest
		}
	default:
		return false
	}
	local, ok := parseAddr(f[1])
	if !ok {
		return false
	}
	for _, any := range []netip.Addr{local.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if to[netip.AddrPortFrom(any, local.Port())] {
			return true
		}
	}
	return false
}

// unixConnection says whether a line is a connection to one of the names: an accepted socket has
// the name of the one that it was accepted from.
func unixConnection(f []string, to map[string]bool) bool {
	// Num RefCount Protocol Flags Type St Inode Path; 02 is one that waits to be accepted
	return len(f) >= 8 && (f[5] == "02" || f[5] == "03") && to[strings.Join(f[7:], " ")]
}

// parseAddr reads an address of /proc/net/tcp: 32-bit words of network order, each printed as a
// number of this machine's byte order, and the port.
func parseAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw) == 0 || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
