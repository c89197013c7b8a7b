package sys

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func (l *ProcList) read() ([]ProcStat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close() // read only: an error of close loses nothing
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrHidden)
	}
	if self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("/proc/self is %s and we are %d: /proc is of another pid namespace: %w", self, os.Getpid(), ErrHidden)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	if l.buf == nil {
		// A line of stat is about 350 bytes; its 52 numbers of at most 20
		// digits and the name cannot fill this.
		l.buf = make([]byte, 2048)
	}
	l.stats = l.stats[:0]
	at := int(dir.Fd())
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if err := l.add(at, name); err != nil {
			return nil, err
		}
	}
	return l.stats, nil
}

// add reads one process; one that has ended or is not ours to see is left out.
func (l *ProcList) add(dir int, name string) error {
	path := name + "/stat"
	n, err := l.readInto(dir, path)
	switch err {
	case nil:
	case unix.ENOENT, unix.ESRCH, unix.EACCES, unix.EPERM:
		return nil
	default:
		return &fs.PathError{Op: "read", Path: "/proc/" + path, Err: err}
	}
	st, err := parseStat(l.buf[:n])
	if err != nil {
		return fmt.Errorf("read /proc/%s: %w", path, err)
	}
	l.stats = append(l.stats, st)
	return nil
}

// readInto reads a file of /proc whole: such files are made at the read, and
// one read that has room gets everything.
func (l *ProcList) readInto(dir int, path string) (int, error) {
	fd, err := retry1(func() (int, error) { return unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, err
	}
	n, err := retry1(func() (int, error) { return unix.Read(fd, l.buf) })
	if closeErr := unix.Close(fd); err == nil && closeErr != nil {
		err = closeErr
	}
	if err == nil && n == len(l.buf) {
		err = syscall.EOVERFLOW
	}
	return n, err
}
