//go:build unix

package sys

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func sealedFile(name string, content []byte) (int, error) {
	var errs []error
	makers := []func(string, []byte) (int, error){sealedMemory, sealedUnlinked, sealedPipe}
	var limit unix.Rlimit
	// Past the limit the kernel does not only refuse but sends SIGXFSZ, which ends a Go program
	// (setrlimit(2)).
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil || uint64(limit.Cur) < uint64(len(content)) {
		makers = makers[2:]
	}
	for _, make := range makers {
		fd, err := make(name, content)
		if err == nil {
			if err = checkSealed(fd); err == nil { // a network file system keeps a name for what was removed
				return fd, nil
			}
			err = also(err, CloseFD(fd))
		}
		errs = append(errs, err)
	}
	return -1, oneLine(errs)
}

// oneLine joins errors without a newline.
func oneLine(errs []error) error {
	err := errs[0]
	for _, more := range errs[1:] {
		err = also(err, more)
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
	return dupAbove(int(f.Fd()), 3)
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
	conn, err := w.SyscallConn()
	if err != nil {
		return -1, err
	}
	var inner error
	err = conn.Control(func(fd uintptr) {
		widenPipe(int(fd), len(content))
		inner = writeAll(int(fd), content) // the descriptor does not block: EAGAIN if there is no room
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return -1, err
	}
	return dupAbove(int(r.Fd()), 3)
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := retry1(func() (int, error) { return unix.Write(fd, b) })
		if err != nil {
			return wrap("write", err)
		}
		b = b[n:]
	}
	return nil
}

func checkSealed(fd int) error {
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
		return fmt.Errorf("a file of mode %#o with %d names is not what orders are in", st.Mode, st.Nlink)
	}
	if !ours {
		return fmt.Errorf("it is of user %d", st.Uid)
	}
	return nil
}

func readSealed(fd int) ([]byte, error) {
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
		n, err := retry1(func() (int, error) { return unix.Read(fd, buf) })
		if err != nil {
			return nil, wrap("read", err)
		}
		if n == 0 {
			return content, nil
		}
		if content = append(content, buf[:n]...); len(content) > 16<<20 {
			return nil, errors.New("more than a pipe holds")
		}
	}
}

func inode(fd int) (uint64, error) {
	var st syscall.Stat_t
	err := retry(func() error { return syscall.Fstat(fd, &st) })
	return uint64(st.Ino), wrap("fstat", err)
}
