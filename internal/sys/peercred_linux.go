package sys

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

func peerOf(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, wrap("getsockopt", err)
	}
	if c.Uid == ^uint32(0) {
		// What the kernel says of a socket without a peer.
		return Peer{}, wrap("getsockopt", unix.ENOTCONN)
	}
	p := Peer{PID: int(c.Pid), UID: int(c.Uid), GID: int(c.Gid)}
	p.Groups, err = peerGroups(fd)
	return p, err
}

// peerGroups asks for room first: ERANGE carries the size that is needed.
func peerGroups(fd int) ([]int, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > len(groups)*4:
			groups = make([]uint32, size/4)
			continue
		case errors.Is(errno, unix.ENOPROTOOPT): // before Linux 4.13
			return nil, nil
		case errno != 0:
			return nil, wrap("getsockopt", errno)
		}
		list := make([]int, size/4)
		for i := range list {
			list[i] = int(groups[i])
		}
		return list, nil
	}
}
