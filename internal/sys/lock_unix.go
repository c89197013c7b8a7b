//go:build unix && !aix

package sys

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// TryFlock takes the exclusive flock(2) lock of f's open file description
// without waiting; ErrLocked if another description has it. Taking it again
// through the same description succeeds. The lock belongs to the description:
// it goes along with an inherited or duplicated descriptor and ends when the
// last of them is closed. Never unlock explicitly what was handed on: LOCK_UN
// through any one descriptor takes the lock from all of them.
func TryFlock(f *os.File) error {
	return WithFD(f, func(fd int) error {
		err := retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		return lockError("flock", err)
	})
}

// FlockFree says whether nobody has the exclusive flock(2) lock of f. Nobody can take it in the
// instant in which it is looked.
func FlockFree(f *os.File) (free bool, err error) {
	err = WithFD(f, func(fd int) error { // the lock is shared: flock(2) cannot ask
		err := retry(func() error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) })
		if err = lockError("flock", err); errors.Is(err, ErrLocked) {
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

// queryLock asks, with one of the F_GETLK commands, which errors name as call, whether a lock of
// that type, F_RDLCK or F_WRLCK, on the whole file would be refused.
func queryLock(f *os.File, call string, cmd int, kind int16) (held bool, err error) {
	lk := unix.Flock_t{Type: kind} // from 0, length 0: to the end, wherever that will be
	err = WithFD(f, func(fd int) error {
		err := retry(func() error { return unix.FcntlFlock(uintptr(fd), cmd, &lk) })
		return wrap(call, err)
	})
	return err == nil && lk.Type != unix.F_UNLCK, err
}

// StartByte is the one byte of a lock file that only a start in progress has locked (LockForStart).
// It is far behind all content.
const StartByte = 1 << 40
