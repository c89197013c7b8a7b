package sys

import (
	"errors"
	"os"
)

// ErrLocked says that another open file description holds the lock.
var ErrLocked = errors.New("locked by another process")

// TryFlock takes the exclusive flock(2) lock of f's open file description
// without waiting; ErrLocked if another description has it. Taking it again
// through the same description succeeds. The lock belongs to the description:
// it goes along with an inherited or duplicated descriptor and ends when the
// last of them is closed. Never unlock explicitly what was handed on: LOCK_UN
// through any one descriptor takes the lock from all of them.
func TryFlock(f *os.File) error { return tryFlock(f) }

// FlockFree says whether nobody has the exclusive flock(2) lock of f. Nobody can take it in the
// instant in which it is looked.
func FlockFree(f *os.File) (bool, error) { return flockFree(f) }

// TryOFDLock takes the exclusive open-file-description lock on all of f
// (fcntl(2), F_OFD_SETLK, Linux 3.15) without waiting; ErrLocked if another
// description or process has an fcntl lock on the file. Its life is that of a
// flock lock, but it can be asked for (LockedByOther), and it is seen by
// programs that lock with fcntl or lockf, which on Linux do not see flock.
// errors.ErrUnsupported where the platform or the file system has none.
func TryOFDLock(f *os.File) error { return tryOFDLock(f) }

// LockedByOther asks whether another description holds an fcntl lock (on the
// BSDs: any lock) on f. It takes no lock itself, not for an instant, so it
// cannot make anybody else's TryFlock fail.
func LockedByOther(f *os.File) (bool, error) { return lockedByOther(f) }

// withFD runs fn with f's descriptor, which stays valid meanwhile even if
// another goroutine closes f. Unlike f.Fd it leaves the file's blocking mode alone.
func withFD(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}
