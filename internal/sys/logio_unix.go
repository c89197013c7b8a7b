//go:build unix

package sys

import (
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
