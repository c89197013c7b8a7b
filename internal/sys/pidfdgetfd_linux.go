package sys

import "golang.org/x/sys/unix"

func (p BarePidfd) takeFD(fd int) (int, error) {
	got, err := unix.PidfdGetfd(int(p), fd, 0)
	if err != nil {
		return -1, wrap("pidfd_getfd", err)
	}
	return got, nil
}
