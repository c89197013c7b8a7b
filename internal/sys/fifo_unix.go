//go:build unix

package sys

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

func makeFIFO(path string, mode uint32) error {
	err := retry(func() error { return unix.Mkfifo(path, mode) })
	if err != nil && err != unix.EEXIST {
		return &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return &fs.PathError{Op: "mkfifo", Path: path, Err: fmt.Errorf("there is something that is not a FIFO: %w", unix.EEXIST)}
	}
	if int(st.Uid) != os.Geteuid() {
		return &fs.PathError{Op: "mkfifo", Path: path, Err: fmt.Errorf("there is a FIFO that belongs to user %d: %w", st.Uid, unix.EEXIST)}
	}
	if uint32(st.Mode)&0o7777 != mode { // st.Mode is 16 bits wide on some systems
		if err := retry(func() error { return unix.Chmod(path, mode) }); err != nil {
			return &fs.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	return nil
}

func openFIFOReader(path string) (int, error) {
	return openFIFO(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW)
}

func openFIFOBoth(path string) (int, error) { return openFIFO(path, unix.O_RDWR|unix.O_NOFOLLOW) }

func openFIFOAgain(fd int) (int, error) {
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
	if err = retry(func() error { return unix.Fstat(fd, &st) }); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = fmt.Errorf("not a FIFO: %w", unix.EINVAL)
	}
	if err != nil {
		unix.Close(fd)
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
