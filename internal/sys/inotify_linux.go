package sys

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

type watcher struct{ f *os.File }

func newWatcher() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, wrap("inotify_init1", err)
	}
	return &Watcher{watcher{os.NewFile(uintptr(fd), "inotify")}}, nil
}

func (w *watcher) add(dir string) error {
	const mask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_ONLYDIR
	return w.addMask(dir, mask)
}

func (w *watcher) addNames(dir string) error {
	return w.addMask(dir, unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
}

func (w *watcher) addMask(dir string, mask uint32) error {
	rc, err := w.f.SyscallConn() // Fd would make the descriptor blocking
	if err != nil {
		return err
	}
	var werr error
	err = rc.Control(func(fd uintptr) { _, werr = unix.InotifyAddWatch(int(fd), dir, mask) })
	if werr != nil {
		return &fs.PathError{Op: "inotify_add_watch", Path: dir, Err: werr}
	}
	return err
}

func (w *watcher) wait(timeout time.Duration) error {
	if err := w.f.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	var buf [4096]byte // at least one event with the longest name (inotify(7))
	_, err := w.f.Read(buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func (w *watcher) close() error { return w.f.Close() }
