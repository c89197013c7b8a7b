package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

func pidfdGetfd(pidfd *os.File, fd int) (got int, err error) {
	err = withFD(pidfd, func(pidfd int) (err error) {
		got, err = unix.PidfdGetfd(pidfd, fd, 0)
		return wrap("pidfd_getfd", err)
	})
	if err != nil {
		return -1, err
	}
	return got, nil
}
