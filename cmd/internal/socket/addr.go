package socket

import (
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// bind gives a socket its address. A zone of it is the number of an interface: a name is ENODEV,
// because package net knows those.
func bind(fd int, addr netip.AddrPort) error {
	a := sys.InetAddr{IP: addr.Addr().AsSlice(), Port: addr.Port()}
	if zone := addr.Addr().Zone(); zone != "" {
		n, err := strconv.ParseUint(zone, 10, 32)
		if err != nil {
			return os.NewSyscallError("bind", syscall.ENODEV)
		}
		a.Zone = uint32(n)
	}
	return sys.BindInet(fd, a)
}

// local returns the address of a bound socket.
func local(fd int) (netip.AddrPort, error) {
	a, err := sys.LocalInet(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip, _ := netip.AddrFromSlice(a.IP) // 4 or 16 bytes
	if a.Zone != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(a.Zone), 10))
	}
	return netip.AddrPortFrom(ip, a.Port), nil
}
