package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

func tryOFDLock(f *os.File) error {
	return withFD(f, func(fd int) error {
		lk := unix.Flock_t{Type: unix.F_WRLCK}
		err := retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk) })
		if err == unix.EINVAL || err == unix.EOPNOTSUPP { // gVisor; some FUSE file systems
			return Unsupported("fcntl(F_OFD_SETLK)")
		}
		return lockError("fcntl(F_OFD_SETLK)", err)
	})
}

func lockedByOther(f *os.File) (bool, error) {
	held, err := queryLock(f, unix.F_OFD_GETLK)
	if errno, ok := Errno(err); ok && (errno == unix.EINVAL || errno == unix.EOPNOTSUPP) {
		return false, Unsupported("fcntl(F_OFD_GETLK)")
	}
	return held, err
}
