//go:build unix

package sys

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func tryFlock(f *os.File) error {
	return withFD(f, func(fd int) error {
		return lockError("flock", retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }))
	})
}

// flockFree shares the lock, which flock(2) cannot ask for.
func flockFree(f *os.File) (free bool, err error) {
	err = withFD(f, func(fd int) error {
		err := lockError("flock", retry(func() error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) }))
		if errors.Is(err, ErrLocked) {
			return nil
		}
		if free = err == nil; !free {
			return err
		}
		return wrap("flock", retry(func() error { return unix.Flock(fd, unix.LOCK_UN) }))
	})
	return free, err
}

// lockError makes "somebody else has it" ErrLocked, however the call spells
// that: EWOULDBLOCK (flock), EAGAIN or EACCES (fcntl, POSIX allows both).
func lockError(call string, err error) error {
	if err == unix.EWOULDBLOCK || err == unix.EAGAIN || err == unix.EACCES {
		return fmt.Errorf("%s: %w", call, ErrLocked)
	}
	return wrap(call, err)
}

// queryLock asks, with one of the F_GETLK commands, whether an exclusive lock
// on the whole file would be refused.
func queryLock(f *os.File, cmd int) (held bool, err error) {
	err = withFD(f, func(fd int) error {
		lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0} // from 0, length 0: to the end, wherever that will be
		if err := retry(func() error { return unix.FcntlFlock(uintptr(fd), cmd, &lk) }); err != nil {
			return wrap("fcntl(F_GETLK)", err)
		}
		held = lk.Type != unix.F_UNLCK
		return nil
	})
	return held, err
}
