package sys

import (
	"encoding/binary"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wakeKey marks the eventfd among the keys of callers, which are never negative.
const wakeKey = -1

type poller struct {
	ep, event int
	coarse    bool // epoll_pwait2 is missing or forbidden
	raw       []unix.EpollEvent
}

func newPoller() (*Poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, wrap("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, wrap("eventfd", err)
	}
	p := &Poller{poller{ep: ep, event: event}}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeKey}); err != nil {
		p.close()
		return nil, wrap("epoll_ctl(EPOLL_CTL_ADD)", err)
	}
	return p, nil
}

func (p *poller) add(fd int, key int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: key}
	return wrap("epoll_ctl(EPOLL_CTL_ADD)", unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &ev))
}

func (p *poller) arm(fd int, key int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: key}
	return wrap("epoll_ctl(EPOLL_CTL_MOD)", unix.EpollCtl(p.ep, unix.EPOLL_CTL_MOD, fd, &ev))
}

func (p *poller) remove(fd int) error {
	return wrap("epoll_ctl(EPOLL_CTL_DEL)", unix.EpollCtl(p.ep, unix.EPOLL_CTL_DEL, fd, nil))
}

func (p *poller) wait(events []PollEvent, timeout time.Duration) (int, error) {
	if len(p.raw) < len(events) {
		p.raw = make([]unix.EpollEvent, len(events))
	}
	n, err := p.waitRaw(p.raw[:len(events)], timeout)
	if err == unix.EINTR {
		return 0, nil // the caller computes its time-out anew
	}
	if err != nil {
		return 0, wrap("epoll_wait", err)
	}
	out := 0
	for _, ev := range p.raw[:n] {
		if ev.Fd == wakeKey {
			var b [8]byte
			unix.Read(p.event, b[:]) // EAGAIN: another Wait has taken it
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
func (p *poller) waitRaw(raw []unix.EpollEvent, timeout time.Duration) (int, error) {
	if timeout < 0 {
		return unix.EpollWait(p.ep, raw, -1)
	}
	if timeout == 0 {
		return unix.EpollWait(p.ep, raw, 0)
	}
	if !p.coarse {
		ts := kernelTimespec{sec: int64(timeout / time.Second), nsec: int64(timeout % time.Second)}
		n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.ep), uintptr(unsafe.Pointer(&raw[0])),
			uintptr(len(raw)), uintptr(unsafe.Pointer(&ts)), 0, 0)
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

func (p *poller) wake() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := retry1(func() (int, error) { return unix.Write(p.event, one[:]) })
	if err == unix.EAGAIN { // 2^64-2 wakes pending: the waiter will see those
		return nil
	}
	return wrap("write(eventfd)", err)
}

func (p *poller) close() error {
	unix.Close(p.event)
	return wrap("close(epoll)", unix.Close(p.ep))
}
