//go:build unix

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// spareDescriptors opens n descriptors of nothing. With an error the list has those that could be
// had.
func spareDescriptors(n int) (fds []int, err error) {
	if n <= 0 {
		return nil, nil
	}
	first, err := OpenUnixDatagram() // needs nothing of the file system
	if err != nil {
		return nil, err
	}
	fds = append(make([]int, 0, n), first)
	for len(fds) < n {
		fd, err := unix.FcntlInt(uintptr(first), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fds, wrap("fcntl(F_DUPFD_CLOEXEC)", err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func mostDescriptors() uint64 {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0
	}
	return uint64(lim.Cur)
}
