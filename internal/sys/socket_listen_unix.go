//go:build unix

package sys

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

func bindInet(fd int, addr InetAddr) error {
	sa, err := addr.sockaddr()
	if err == nil {
		err = retry(func() error { return unix.Bind(fd, sa) })
	}
	return wrap("bind", err)
}

func (a InetAddr) sockaddr() (unix.Sockaddr, error) {
	switch len(a.IP) {
	case 4:
		return &unix.SockaddrInet4{Port: int(a.Port), Addr: [4]byte(a.IP)}, nil
	case 16:
		return &unix.SockaddrInet6{Port: int(a.Port), ZoneId: a.Zone, Addr: [16]byte(a.IP)}, nil
	}
	return nil, unix.EAFNOSUPPORT
}

func localInet(fd int) (InetAddr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return InetAddr{}, wrap("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return InetAddr{IP: sa.Addr[:], Port: uint16(sa.Port)}, nil
	case *unix.SockaddrInet6:
		return InetAddr{IP: sa.Addr[:], Zone: sa.ZoneId, Port: uint16(sa.Port)}, nil
	}
	return InetAddr{}, wrap("getsockname", unix.EAFNOSUPPORT)
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
