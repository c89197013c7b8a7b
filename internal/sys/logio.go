package sys

import "os"

// FileState is what the log engine asks of a file: which one it is, whether it
// still has a name, and how long it is.
type FileState struct {
	Dev, Ino uint64
	Nlink    uint64
	Size     int64
}

// Same says whether both are the same file.
func (s FileState) Same(o FileState) bool { return s.Dev == o.Dev && s.Ino == o.Ino }

// StatFD returns the state of an open file (fstat(2)).
func StatFD(fd int) (FileState, error) { return statFD(fd) }

// StatPath returns the state of the file path names, without following a
// symbolic link in its last component (lstat(2)). Errors are *fs.PathError.
func StatPath(path string) (FileState, error) { return statPath(path) }

// ReadFD is one read(2). On a non-blocking descriptor without data the error is
// EAGAIN; the end of the file is 0 and no error.
func ReadFD(fd int, p []byte) (int, error) { return fdRead(fd, p) }

// WriteFD is one write(2), which may write less than all of p.
func WriteFD(fd int, p []byte) (int, error) { return fdWrite(fd, p) }

// SetNonblock sets or clears O_NONBLOCK of the open file description, which
// every process that shares it sees.
func SetNonblock(fd int, on bool) error { return setNonblock(fd, on) }

// MapShared maps the first n bytes of f, readable and writable, MAP_SHARED:
// what is stored in the mapping is in the kernel's page cache from the next
// instruction on and survives the death of the process by whatever signal.
func MapShared(f *os.File, n int) ([]byte, error) { return mapShared(f, n) }

// Unmap undoes MapShared.
func Unmap(b []byte) error { return unmap(b) }

// LowerThread gives the calling thread the lowest CPU priority (nice 19) and, on
// Linux, the idle I/O class (ioprio_set(2)). There is no way back without
// privileges: the caller has locked its goroutine to the thread and never
// unlocks it, so the thread ends with the goroutine. Where priorities belong to processes
// only, nothing is changed and the error wraps errors.ErrUnsupported.
func LowerThread() error { return lowerThread() }
