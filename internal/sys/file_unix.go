//go:build unix && !aix

package sys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// MakeFIFO makes the FIFO path with exactly the given permissions, whatever the umask is. A FIFO of
// ours that is there already is kept, with its permissions corrected; anything else under that name
// is an error. The directory must be one where nobody but us can make names.
func MakeFIFO(path string, mode uint32) error {
	if err := NewFIFO(path, mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err := fmt.Errorf("there is something that is not a FIFO: %w", unix.EEXIST)
		return &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	if int(st.Uid) != os.Geteuid() {
		err := fmt.Errorf("there is a FIFO that belongs to user %d: %w", st.Uid, unix.EEXIST)
		return &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	if uint32(st.Mode)&0o7777 != mode { // st.Mode is 16 bits wide on some systems
		if err := retry(func() error { return unix.Chmod(path, mode) }); err != nil {
			return &fs.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	return nil
}

// NewFIFO makes a FIFO, with mode less the umask; EEXIST if there is anything of that name.
func NewFIFO(path string, mode uint32) error {
	if err := retry(func() error { return unix.Mkfifo(path, mode) }); err != nil {
		return &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return nil
}

// OpenFIFOReader opens the FIFO path for reading, non-blocking and
// close-on-exec. It does not wait for a writer (fifo(7)). Symbolic links are not
// followed; what is not a FIFO is an error.
func OpenFIFOReader(path string) (int, error) {
	return openFIFO(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW)
}

// OpenFIFOBoth opens the FIFO path for reading and writing, blocking and close-on-exec: the end for
// a child's standard output. Because the child then holds a reader itself, the death of every other
// reader gives it neither SIGPIPE nor EPIPE. POSIX leaves O_RDWR on a FIFO undefined; Linux
// (fifo(7)), the BSDs and macOS define it this way.
func OpenFIFOBoth(path string) (int, error) { return openFIFO(path, unix.O_RDWR|unix.O_NOFOLLOW) }

// OpenFIFOAgain is OpenFIFOBoth for the FIFO that fd is open for, which may have no name any more
// (proc(5), /proc/PID/fd).
func OpenFIFOAgain(fd int) (int, error) {
	dir := "/dev/fd/"
	if runtime.GOOS == "linux" { // /dev need not have it
		dir = "/proc/self/fd/"
	}
	return openFIFO(dir+strconv.Itoa(fd), unix.O_RDWR)
}

func openFIFO(path string, flags int) (int, error) {
	fd, err := retry1(func() (int, error) {
		return unix.Open(path, flags|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	err = retry(func() error { return unix.Fstat(fd, &st) })
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = fmt.Errorf("not a FIFO: %w", unix.EINVAL)
	}
	if err != nil {
		unix.Close(fd)
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func fileState(st *unix.Stat_t) FileState {
	// The fields' types differ between systems; all fit.
	return FileState{
		Dev: uint64(st.Dev), Ino: uint64(st.Ino), Nlink: uint64(st.Nlink), Size: int64(st.Size),
	}
}

// StatFD returns the state of an open file (fstat(2)).
func StatFD(fd int) (FileState, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return FileState{}, wrap("fstat", err)
	}
	return fileState(&st), nil
}

// StatPath returns the state of the file path names, without following a
// symbolic link in its last component (lstat(2)). Errors are *fs.PathError.
func StatPath(path string) (FileState, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return FileState{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fileState(&st), nil
}

// ReadFD is one read(2). On a non-blocking descriptor without data the error is
// EAGAIN; the end of the file is 0 and no error.
func ReadFD(fd int, p []byte) (int, error) {
	// No retry1: this is called once for every chunk of output, and a closure over p would be
	// allocated each time.
	for {
		n, err := unix.Read(fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, wrap("read", err)
		}
		return n, nil
	}
}

// WriteFD is one write(2), which may write less than all of p.
func WriteFD(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, wrap("write", err)
		}
		return n, nil
	}
}

// O_NONBLOCK is a flag of os.OpenFile; 0 where there is no FIFO that an open could wait for.
const O_NONBLOCK = unix.O_NONBLOCK

// SetNonblock sets or clears O_NONBLOCK of the open file description, which
// every process that shares it sees.
func SetNonblock(fd int, on bool) error {
	return wrap("fcntl(F_SETFL)", retry(func() error { return unix.SetNonblock(fd, on) }))
}

// MapShared maps the first n bytes of f, readable and writable, MAP_SHARED:
// what is stored in the mapping is in the kernel's page cache from the next
// instruction on and survives the death of the process by whatever signal.
func MapShared(f *os.File, n int) ([]byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	return b, nil
}

// Unmap undoes MapShared.
func Unmap(b []byte) error { return wrap("munmap", unix.Munmap(b)) }

// SealedFile makes a nameless, close-on-exec file with that content, to be passed to another
// process that reads it with ReadSealed. Nobody else has it, and what a process relays of
// somebody's bytes is never one.
//
// On Linux it is in memory and sealed (memfd_create, 3.17). Where that is missing or refused it is
// a file of mode 0600 without a name in the temporary directory, and where no such file can be
// written, be it for a limit on the size of files, a pipe: that holds at most a mebibyte.
func SealedFile(name string, content []byte) (int, error) {
	var errs []error
	makers := []func(string, []byte) (int, error){sealedMemory, sealedUnlinked, sealedPipe}
	// Past the limit the kernel does not only refuse but sends SIGXFSZ, which ends a Go program
	// (setrlimit(2)).
	if limit, err := Getrlimit(unix.RLIMIT_FSIZE); err != nil || limit.Soft < uint64(len(content)) {
		makers = makers[2:]
	}
	for _, make := range makers {
		fd, err := make(name, content)
		if err == nil {
			// a network file system keeps a name for what was removed
			if err = CheckSealed(fd); err == nil {
				return fd, nil
			}
			err = Also(err, CloseFD(fd))
		}
		errs = append(errs, err)
	}
	return -1, oneLine(errs)
}

// oneLine joins errors without a newline.
func oneLine(errs []error) error {
	err := errs[0]
	for _, more := range errs[1:] {
		err = Also(err, more)
	}
	return err
}

// sealedUnlinked is what every Unix has.
func sealedUnlinked(name string, content []byte) (int, error) {
	f, err := unlinkedFile(name)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return -1, err
	}
	return DupAbove(int(f.Fd()), 3)
}

// sealedPipe needs neither memory files nor a place to write to. Nobody has its writing end any
// more.
func sealedPipe(_ string, content []byte) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return -1, err
	}
	defer r.Close()
	defer w.Close()
	err = WithFD(w, func(fd int) error {
		widenPipe(fd, len(content))
		return writeAll(fd, content) // the descriptor does not block: EAGAIN if there is no room
	})
	if err != nil {
		return -1, err
	}
	return DupAbove(int(r.Fd()), 3)
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := WriteFD(fd, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// CheckSealed says why the descriptor is not one that SealedFile has made, in a process of this
// user or of root.
func CheckSealed(fd int) error {
	var st syscall.Stat_t
	if err := retry(func() error { return syscall.Fstat(fd, &st) }); err != nil {
		return wrap("fstat", err)
	}
	ours := st.Uid == 0 || st.Uid == uint32(os.Geteuid())
	kind, mode := uint32(st.Mode)&syscall.S_IFMT, st.Mode&0o777
	switch {
	case kind == syscall.S_IFREG && sealed(fd):
	case kind == syscall.S_IFREG && st.Nlink == 0 && mode == 0o600:
	case kind == syscall.S_IFIFO && mode == 0o600:
	default:
		return fmt.Errorf("a file of mode %#o with %d names is not what orders are in",
			st.Mode, st.Nlink)
	}
	if !ours {
		return fmt.Errorf("it is of user %d", st.Uid)
	}
	return nil
}

// ReadSealed returns the content, once, after CheckSealed.
func ReadSealed(fd int) ([]byte, error) {
	var st syscall.Stat_t
	if err := retry(func() error { return syscall.Fstat(fd, &st) }); err != nil {
		return nil, wrap("fstat", err)
	}
	if uint32(st.Mode)&syscall.S_IFMT == syscall.S_IFIFO {
		return readPipe(fd)
	}
	if st.Size > math.MaxInt32 {
		return nil, wrap("read", unix.EFBIG)
	}
	content := make([]byte, st.Size)
	for done := 0; done < len(content); {
		n, err := retry1(func() (int, error) { return unix.Pread(fd, content[done:], int64(done)) })
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, wrap("pread", err)
		}
		done += n
	}
	return content, nil
}

// readPipe does not wait: a pipe of SealedFile has no writer and ends with what is in it.
func readPipe(fd int) (content []byte, err error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, wrap("fcntl", err)
	}
	for buf := make([]byte, 64<<10); ; {
		n, err := ReadFD(fd, buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return content, nil
		}
		if content = append(content, buf[:n]...); len(content) > 16<<20 {
			return nil, errors.New("more than a pipe holds")
		}
	}
}

// OpenNull opens the null device for reading and writing. Not as os.OpenFile does, which would set
// up the runtime's poller for it.
func OpenNull() (*os.File, error) {
	fd, err := retry1(func() (int, error) {
		return unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), os.DevNull), nil
}

// OpenDir opens a directory so that it can be entered later (os.File.Chdir), whatever its name is
// then. We must be allowed to search it and, but for Linux, to read it.
func OpenDir(path string) (*os.File, error) {
	fd, err := retry1(func() (int, error) { return unix.Open(path, dirFlags, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// MayEnter returns an error if we must not enter the directory.
func MayEnter(dir *os.File) error {
	return WithFD(dir, func(dirfd int) error {
		fd, err := retry1(func() (int, error) { return unix.Openat(dirfd, ".", dirFlags, 0) })
		if err != nil {
			return &fs.PathError{Op: "open", Path: dir.Name(), Err: err}
		}
		return CloseFD(fd)
	})
}
