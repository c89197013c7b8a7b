package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// FileState is what the log engine asks of a file: which one it is, whether it
// still has a name, and how long it is.
type FileState struct {
	Dev, Ino uint64
	Nlink    uint64
	Size     int64
}

// Same says whether both are the same file.
func (s FileState) Same(o FileState) bool { return s.Dev == o.Dev && s.Ino == o.Ino }

// unlinkedFile is what every Unix has in place of memfd_create.
func unlinkedFile(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// WithFD runs fn with the descriptor of c, which stays valid meanwhile even if another goroutine
// closes c. Unlike os.File.Fd it leaves the blocking mode alone.
func WithFD(c syscall.Conn, fn func(fd int) error) error {
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// SetModTime sets the modification time of f, which is open under the name
// path, and leaves its access time alone. It returns the time that the file
// system kept: many round it (ext3 and HFS+ to seconds, FAT to two, NTFS to 100 ns).
func SetModTime(f *os.File, path string, t time.Time) (kept time.Time, err error) {
	if err := setModTime(f, path, t); err != nil {
		return time.Time{}, err
	}
	fi, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return fi.ModTime(), nil
}

// Overlay lays a T over the beginning of mem, for structures in memory that other processes map
// too. T must hold no pointer, and nothing may keep the result once mem is unmapped. It panics if
// mem is too small or not aligned for a T, which a mapping never is.
func Overlay[T any](mem []byte) *T {
	var t T
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if uintptr(len(mem)) < unsafe.Sizeof(t) || uintptr(p)%unsafe.Alignof(t) != 0 {
		panic(fmt.Sprintf("sys: overlay of %d bytes on %d at %p", unsafe.Sizeof(t), len(mem), p))
	}
	return (*T)(p)
}

// ErrInsecure says that somebody else could have planted what was found.
var ErrInsecure = errors.New("insecure")

// TrustedOpen says what OpenTrusted shall open; the zero value opens an
// existing file of any type for reading.
type TrustedOpen struct {
	// Flags are those of os.OpenFile: one of O_RDONLY, O_WRONLY, O_RDWR, and any of O_CREATE,
	// O_EXCL, O_APPEND, O_TRUNC, O_SYNC. O_CLOEXEC and O_NOCTTY are always added.
	Flags int
	// Mode is the exact mode of a file that is created, whatever the umask.
	Mode fs.FileMode
	// Owner is given a file that is created; nil leaves it to us.
	Owner *Owner
	// Regular refuses everything but a regular file, before opening it: opening a
	// FIFO can block, and opening a device can have effects.
	Regular bool
	// Single refuses an existing regular file with a second hard link, in a directory that others
	// may write: they may have linked what they could not read. With O_CREATE that is so in any
	// case.
	Single bool
	// Ours refuses what anybody but root and us could have put there: in any directory on the way,
	// or as the file.
	Ours bool
}

// Owner is a user and a group by number; -1 leaves the one or the other as it is.
type Owner struct{ UID, GID int }

// A Locker is a process that has a file open under a lock.
type Locker struct {
	PID, UID int  // the real user
	Flock    bool // flock(2), or a lock of the process itself (F_SETLK)
	OFD      bool // an open-file-description lock
}

// ErrLocked says that another open file description holds the lock.
var ErrLocked = errors.New("locked by another process")

// Unlink removes a name that is no directory's (unlink(2)). It is no error if there is none.
func Unlink(path string) error {
	if err := unlink(path); err != syscall.ENOENT {
		return wrap("unlink", err)
	}
	return nil
}

// FileID tells files apart, as long as they exist. The zero value is no file's.
type FileID struct{ Device, Inode uint64 }
