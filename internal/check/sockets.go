package check

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
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
	dir := "/proc/" + strconv.Itoa(f.stat.PID) + "/net/"
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "unix"} {
		// A table that is not there (no IPv6) or may not be read leaves its
		// sockets unknown, which is what they then are.
		if data, err := os.ReadFile(dir + name); err == nil {
			addTable(f.socketTable, name, data)
		}
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
		s.accepted = !s.serves && s.address != "" && slices.ContainsFunc(listening, func(l socket) bool {
			return l.address == s.address || port(l.address) != "" && port(l.address) == port(s.address)
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

func addTable(table map[uint64]socket, name string, data []byte) {
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		inodeAt := 9
		if name == "unix" {
			inodeAt = 6
		}
		if len(fields) <= inodeAt {
			continue
		}
		inode, err := strconv.ParseUint(fields[inodeAt], 10, 64)
		if err != nil || inode == 0 {
			continue // the heading, or a connection in TIME_WAIT
		}
		if name == "unix" {
			table[inode] = unixSocket(fields)
		} else {
			table[inode] = inetSocket(name, fields)
		}
	}
}

// unixSocket reads "address: refs protocol flags type state inode [path]".
func unixSocket(fields []string) socket {
	const acceptsConnections, datagram = 1 << 16, "0002" // __SO_ACCEPTCON, SOCK_DGRAM
	flags, err := strconv.ParseUint(fields[3], 16, 32)
	s := socket{serves: err == nil && flags&acceptsConnections != 0}
	if len(fields) > 7 {
		s.address = fields[7]
		s.serves = s.serves || fields[4] == datagram
	}
	return s
}

// inetSocket reads "sl local remote state …", with TCP_LISTEN 0A, and 07
// (TCP_CLOSE) for a datagram socket that is not connected.
func inetSocket(name string, fields []string) socket {
	s := socket{address: inetAddress(fields[1])}
	if strings.HasPrefix(name, "tcp") {
		s.serves = fields[3] == "0A"
	} else {
		s.serves = fields[3] == "07"
	}
	return s
}

// inetAddress turns "0100007F:1F90" into "127.0.0.1:8080". The address is
// printed as 32-bit words in the byte order of the machine, the port as a number.
func inetAddress(s string) string {
	address, number, _ := strings.Cut(s, ":")
	raw, err1 := hex.DecodeString(address)
	port, err2 := strconv.ParseUint(number, 16, 16)
	if err1 != nil || err2 != nil || len(raw)%4 != 0 {
		return ""
	}
	for word := range slices.Chunk(raw, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return ""
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)).String()
}
