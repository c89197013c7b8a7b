//go:build unix

package sys

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

func dup2(oldfd, newfd int) error {
	// dup3 is missing on some platforms and dup2 on others (linux/arm64), so
	// each has its own dup2Call.
	return wrap("dup2", retry(func() error { return dup2Call(oldfd, newfd) }))
}

func dupAbove(fd, min int) (int, error) {
	n, err := retry1(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, min) })
	return n, wrap("fcntl", err)
}

func setCloseOnExec(fd int, on bool) error {
	flags := 0
	if on {
		flags = unix.FD_CLOEXEC
	}
	_, err := retry1(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags) })
	return wrap("fcntl", err)
}

func descriptorOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// sealTried marks every number up to the hard limit of open files: a
// descriptor above the soft limit stays open when the limit is lowered under it,
// one above the hard limit can only come from a launcher that lowered both.
func sealTried(from int) error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return wrap("getrlimit", err)
	}
	for fd, max := from, int(min(uint64(lim.Max), 1<<20)); fd < max; fd++ {
		if err := setCloseOnExec(fd, true); err != nil && !errors.Is(err, syscall.EBADF) {
			return err
		}
	}
	return nil
}
