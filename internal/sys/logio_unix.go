//go:build unix

package sys

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func fileState(st *unix.Stat_t) FileState {
	// The fields' types differ between systems; all fit.
	return FileState{Dev: uint64(st.Dev), Ino: uint64(st.Ino), Nlink: uint64(st.Nlink), Size: int64(st.Size)}
}

func statFD(fd int) (FileState, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return FileState{}, wrap("fstat", err)
	}
	return fileState(&st), nil
}

func statPath(path string) (FileState, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return FileState{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fileState(&st), nil
}

// fdRead has a loop of its own: it is called once for every chunk of output, and a
// closure over p would be allocated each time.
func fdRead(fd int, p []byte) (int, error) {
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

func fdWrite(fd int, p []byte) (int, error) {
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

func setNonblock(fd int, on bool) error {
	return wrap("fcntl(F_SETFL)", retry(func() error { return unix.SetNonblock(fd, on) }))
}

func mapShared(f *os.File, n int) ([]byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	return b, nil
}

func unmap(b []byte) error { return wrap("munmap", unix.Munmap(b)) }

func openAppend(path string, perm os.FileMode, gid int) (*os.File, error) {
	// O_NONBLOCK: should path be a FIFO, the open must fail below and not wait for a reader.
	const flags = unix.O_RDWR | unix.O_APPEND | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	open := func(extra int) (int, error) {
		return retry1(func() (int, error) { return unix.Open(path, flags|extra, uint32(perm.Perm())) })
	}
	fd, err := open(0)
	created := false
	for i := 0; err == unix.ENOENT && i < 2; i++ {
		if fd, err = open(unix.O_CREAT | unix.O_EXCL); err == nil {
			created = true
		} else if err == unix.EEXIST { // somebody made it in between
			fd, err = open(0)
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if err := prepareLog(fd, created, perm, gid); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	// Blocking again, or os.NewFile would try to hand the file to the runtime's poller, which takes no regular files.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func prepareLog(fd int, created bool, perm os.FileMode, gid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("not a regular file: %w", unix.EINVAL)
	}
	if !created {
		return nil
	}
	// The group first: a change of group may clear permission bits.
	if gid != 0 {
		if err := unix.Fchown(fd, -1, gid); err != nil {
			return fmt.Errorf("give it to group %d: %w", gid, err)
		}
	}
	return unix.Fchmod(fd, uint32(perm.Perm()))
}
