package socket

import (
	"net/netip"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Is says whether a descriptor is what Open makes of s: of the same kind, listening if that kind
// can, and at the same address. It is for finding it again in a process that was handed it. A host
// given by name is not looked up: any address with the port is its own.
func Is(fd int, s spec.Socket) bool {
	kind, err := sys.KindOf(fd)
	if err != nil {
		return false
	}
	switch s.Listen.Network {
	case spec.NetFIFO:
		return kind.Mode == os.ModeNamedPipe && isFile(fd, s.Listen.Addr)
	case spec.NetTCP, spec.NetUDP:
		want := syscall.SOCK_STREAM
		if s.Listen.Network == spec.NetUDP {
			want = syscall.SOCK_DGRAM
		}
		return kind.Socket && kind.Type == want &&
			kind.Listening == (want == syscall.SOCK_STREAM) && isAt(fd, s.Listen.Addr)
	}
	if !kind.Socket || kind.Type != unixKind(s.Listen.Network) ||
		kind.Listening != Accepts(s.Listen.Network) {
		return false
	}
	name, err := sys.SocketName(fd)
	return err == nil && (name == s.Listen.Addr || isPath(name, s.Listen.Addr))
}

// isFile says whether a descriptor is the file of that name.
func isFile(fd int, path string) bool {
	have, err := sys.StatFD(fd)
	if err != nil {
		return false
	}
	named, err := sys.StatPath(path)
	return err == nil && have.Same(named)
}

// isPath says whether two names mean one file: a socket is bound under the real name of its
// directory.
func isPath(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

func isAt(fd int, hostPort string) bool {
	have, err := local(fd)
	if err != nil {
		return false
	}
	host, port, err := splitPort(hostPort)
	if err != nil || port != have.Port() {
		return false
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return have.Addr().IsUnspecified()
	case err != nil:
		return true
	}
	if addr, err = numberZone(addr.Unmap()); err != nil {
		return false
	}
	return have.Addr() == addr
}
