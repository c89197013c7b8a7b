package sys

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watch waits for many descriptors without a thread and with one goroutine: epoll(7), itself waited
// for by the runtime's poller. It reads nothing from them. Linux only. Add and Remove may be called
// from any goroutine.
type Watch struct {
	fd   int
	file *os.File // fd
	conn syscall.RawConn
}

// NewWatch returns an empty Watch.
func NewWatch() (*Watch, error) {
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
	return &Watch{fd: fd, file: f, conn: conn}, nil
}

// Add looks out for want at fd; key comes back with it. What is so already is told by the next
// Next. EPERM: the descriptor is of a kind, such as a regular file, that is always ready.
func (w *Watch) Add(fd int, want Interest, key uint64) error {
	ev := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(key), Pad: int32(key >> 32)}
	if want == WaitInput {
		ev.Events |= unix.EPOLLIN
	}
	return wrap("epoll_ctl(EPOLL_CTL_ADD)", unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &ev))
}

// Remove forgets fd. It must be called before fd is closed.
func (w *Watch) Remove(fd int) error {
	return wrap("epoll_ctl(EPOLL_CTL_DEL)", unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, fd, nil))
}

// Next waits until there is something to tell and fills keys; os.ErrClosed after Close.
// A key may still be told after Remove, if it was about to be.
func (w *Watch) Next(keys []uint64) (n int, err error) {
	raw := make([]unix.EpollEvent, len(keys))
	waitErr := w.conn.Read(func(fd uintptr) bool {
		n, err = retry1(func() (int, error) { return unix.EpollWait(int(fd), raw, 0) })
		return n > 0 || err != nil
	})
	if waitErr != nil {
		return 0, os.ErrClosed // nothing else ends it: no deadline is ever set
	}
	for i, ev := range raw[:max(n, 0)] {
		keys[i] = eventKey(ev)
	}
	return max(n, 0), wrap("epoll_wait", err)
}

// Close ends the present and every later Next.
func (w *Watch) Close() error { return w.file.Close() }

// Watcher says that something in one of some directories has changed: a file was
// written, made, renamed or removed (inotify(7)). It does not say what; who waits looks.
type Watcher struct{ f *os.File }

// NewWatcher returns a Watcher without directories. Where the kernel has no inotify the error wraps
// errors.ErrUnsupported.
func NewWatcher() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, wrap("inotify_init1", err)
	}
	return &Watcher{os.NewFile(uintptr(fd), "inotify")}, nil
}

// Add watches the directory.
func (w *Watcher) Add(dir string) error {
	const made = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO
	return w.addMask(dir, made|unix.IN_MOVED_FROM|unix.IN_DELETE)
}

// AddNames watches the directory for names that go away, its own among them, and nothing else.
func (w *Watcher) AddNames(dir string) error {
	return w.addMask(dir, unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
}

func (w *Watcher) addMask(dir string, mask uint32) error {
	return WithFD(w.f, func(fd int) error {
		if _, err := unix.InotifyAddWatch(fd, dir, mask|unix.IN_ONLYDIR); err != nil {
			return &fs.PathError{Op: "inotify_add_watch", Path: dir, Err: err}
		}
		return nil
	})
}

// Wait returns when something has changed since the last Wait, or the time has passed (nil in both
// cases), or the Watcher has been closed (an error).
func (w *Watcher) Wait(timeout time.Duration) error {
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

// Close ends the watching and every Wait.
func (w *Watcher) Close() error { return w.f.Close() }

// wakeKey marks the eventfd among the keys of callers, which never have it.
const wakeKey = math.MaxUint64

// epoll is an epoll(7) set that can be woken: an eventfd is in it.
type epoll struct {
	ep, event int
	raw       []unix.EpollEvent
}

func newEpoll() (epoll, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return epoll{}, wrap("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return epoll{}, Also(wrap("eventfd", err), CloseFD(ep))
	}
	e := epoll{ep: ep, event: event}
	if err := e.ctl(unix.EPOLL_CTL_ADD, event, unix.EPOLLIN, wakeKey); err != nil {
		return epoll{}, Also(err, e.Close())
	}
	return e, nil
}

func (e *epoll) ctl(op, fd int, events uint32, key uint64) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(key), Pad: int32(key >> 32)}
	err := unix.EpollCtl(e.ep, op, fd, &ev)
	if err == nil { // before its name is made: this is called for every chunk of output
		return nil
	}
	ops := [...]string{
		unix.EPOLL_CTL_ADD: "ADD",
		unix.EPOLL_CTL_DEL: "DEL",
		unix.EPOLL_CTL_MOD: "MOD",
	}
	return wrap("epoll_ctl(EPOLL_CTL_"+ops[op]+")", err)
}

func eventKey(ev unix.EpollEvent) uint64 {
	return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
}

// room is where up to n events are put.
func (e *epoll) room(n int) []unix.EpollEvent {
	if len(e.raw) < n {
		e.raw = make([]unix.EpollEvent, n)
	}
	return e.raw[:n]
}

// woken says whether an event is that of Wake, and takes note of it.
func (e *epoll) woken(ev unix.EpollEvent) bool {
	if eventKey(ev) != wakeKey {
		return false
	}
	var b [8]byte
	unix.Read(e.event, b[:]) // EAGAIN: another Wait has taken it
	return true
}

// Wake makes the present or the next Wait return. Any goroutine may call it.
func (e *epoll) Wake() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := retry1(func() (int, error) { return unix.Write(e.event, one[:]) })
	if err == unix.EAGAIN { // 2^64-2 wakes pending: the waiter will see those
		return nil
	}
	return wrap("write(eventfd)", err)
}

// Close frees what is held, not the descriptors that were watched.
func (e *epoll) Close() error {
	unix.Close(e.event)
	return wrap("close(epoll)", unix.Close(e.ep))
}

// Poller waits for many descriptors in one thread: epoll(7) on Linux, poll(2)
// elsewhere. Each descriptor is reported once and then not again until it is armed
// anew, so that a descriptor whose reader lets data gather costs its writers nothing.
//
// All methods but Wake belong to one goroutine.
type Poller struct {
	epoll
	coarse bool // epoll_pwait2 is missing or forbidden
}

// NewPoller returns an empty Poller.
func NewPoller() (*Poller, error) {
	e, err := newEpoll()
	if err != nil {
		return nil, err
	}
	return &Poller{epoll: e}, nil
}

// Add watches fd, armed. The key, not negative, comes back in its events.
func (p *Poller) Add(fd int, key int32) error {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, uint64(key))
}

// Arm asks for the next event of fd. If it is readable or hung up already, the next Wait says so.
func (p *Poller) Arm(fd int, key int32) error {
	return p.ctl(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, uint64(key))
}

// Remove forgets fd. It must be called before fd is closed.
func (p *Poller) Remove(fd int) error {
	return p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

// Wait fills events and returns how many there are. It waits until there is one, until Wake, or
// until timeout has passed; a negative timeout is none. Resolution is a nanosecond with
// epoll_pwait2 (Linux 5.11), a millisecond, rounded up, without it.
func (p *Poller) Wait(events []PollEvent, timeout time.Duration) (int, error) {
	raw := p.room(len(events))
	n, err := p.waitRaw(raw, timeout)
	if err == unix.EINTR {
		return 0, nil // the caller computes its time-out anew
	}
	if err != nil {
		return 0, wrap("epoll_wait", err)
	}
	out := 0
	for _, ev := range raw[:n] {
		if p.woken(ev) {
			continue
		}
		events[out] = PollEvent{
			Key:    ev.Fd,
			Read:   ev.Events&unix.EPOLLIN != 0,
			Hangup: ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0,
		}
		out++
	}
	return out, nil
}

// waitRaw prefers epoll_pwait2: with the millisecond of epoll_wait a reader could
// let gather either nothing or more than a busy pipe holds.
func (p *Poller) waitRaw(raw []unix.EpollEvent, timeout time.Duration) (int, error) {
	if timeout < 0 {
		return unix.EpollWait(p.ep, raw, -1)
	}
	if timeout == 0 {
		return unix.EpollWait(p.ep, raw, 0)
	}
	if !p.coarse {
		ts := kernelTimespec{sec: int64(timeout / time.Second), nsec: int64(timeout % time.Second)}
		n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.ep),
			uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		runtime.KeepAlive(raw)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.ENOSYS && e != unix.EPERM { // EPERM: seccomp filters older than the call
			return 0, e
		}
		p.coarse = true
	}
	return unix.EpollWait(p.ep, raw, int((timeout+time.Millisecond-1)/time.Millisecond))
}

// kernelTimespec is struct __kernel_timespec, 64 bits wide on every architecture.
type kernelTimespec struct{ sec, nsec int64 }
