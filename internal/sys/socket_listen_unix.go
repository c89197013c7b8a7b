//go:build unix

package sys

import (
	"io/fs"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

func bindInet(fd int, addr netip.AddrPort) error {
	sa, err := inetSockaddr(addr)
	if err == nil {
		err = retry(func() error { return unix.Bind(fd, sa) })
	}
	return wrap("bind", err)
}

func inetSockaddr(addr netip.AddrPort) (unix.Sockaddr, error) {
	ip := addr.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		n, err := strconv.ParseUint(zone, 10, 32)
		if err != nil {
			return nil, unix.ENODEV
		}
		sa.ZoneId = uint32(n)
	}
	return sa, nil
}

func localInet(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, wrap("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, wrap("getsockname", unix.EAFNOSUPPORT)
}

func listen(fd, backlog int) error { return wrap("listen", unix.Listen(fd, backlog)) }

func setReuseAddr(fd int) error {
	return wrap("setsockopt(SO_REUSEADDR)", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
}

func setV6Only(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return wrap("setsockopt(IPV6_V6ONLY)", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, value))
}

func readable(fds []int) (bool, error) {
	list := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		list[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	n, err := retry1(func() (int, error) { return unix.Poll(list, 0) })
	if err != nil {
		return false, wrap("poll", err)
	}
	for _, p := range list {
		if p.Revents&unix.POLLNVAL != 0 {
			return false, wrap("poll", unix.EBADF)
		}
	}
	return n > 0, nil
}

func newFIFO(path string, mode uint32) error {
	if err := retry(func() error { return unix.Mkfifo(path, mode) }); err != nil {
		return &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return nil
}
