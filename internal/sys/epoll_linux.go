package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

type watch struct {
	fd   int
	file *os.File // fd
	conn syscall.RawConn
}

func newWatch() (*Watch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, wrap("epoll_create1", err)
	}
	// Only what is non-blocking is waited for by the runtime's poller. The flag has no other
	// meaning for an epoll.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, wrap("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "epoll")
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Watch{watch{fd: fd, file: f, conn: conn}}, nil
}

func (w *watch) add(fd int, want Interest, key uint64) error {
	ev := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(key), Pad: int32(key >> 32)}
	if want == WaitInput {
		ev.Events |= unix.EPOLLIN
	}
	return wrap("epoll_ctl(EPOLL_CTL_ADD)", unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &ev))
}

func (w *watch) remove(fd int) error {
	return wrap("epoll_ctl(EPOLL_CTL_DEL)", unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, fd, nil))
}

func (w *watch) next(keys []uint64) (n int, err error) {
	raw := make([]unix.EpollEvent, len(keys))
	waitErr := w.conn.Read(func(fd uintptr) bool {
		n, err = retry1(func() (int, error) { return unix.EpollWait(int(fd), raw, 0) })
		return n > 0 || err != nil
	})
	if waitErr != nil {
		return 0, os.ErrClosed // nothing else ends it: no deadline is ever set
	}
	for i, ev := range raw[:max(n, 0)] {
		keys[i] = uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
	}
	return max(n, 0), wrap("epoll_wait", err)
}

func (w *watch) close() error { return w.file.Close() }
