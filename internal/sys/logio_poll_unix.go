//go:build unix && !linux

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// poller hands the whole armed set to poll(2) each time: slower than kqueue for
// thousands of descriptors, but the same everywhere.
type poller struct {
	set      map[int]*pollEntry
	raw      []unix.PollFd
	wakeRead int
	wakeSend int
}

type pollEntry struct {
	key   int32
	armed bool
}

func newPoller() (*Poller, error) {
	r, w, err := newPipe()
	if err != nil {
		return nil, err
	}
	return &Poller{poller{set: make(map[int]*pollEntry), wakeRead: r, wakeSend: w}}, nil
}

func (p *poller) add(fd int, key int32) error {
	p.set[fd] = &pollEntry{key: key, armed: true}
	return nil
}

func (p *poller) arm(fd int, key int32) error {
	p.set[fd] = &pollEntry{key: key, armed: true}
	return nil
}

func (p *poller) remove(fd int) error {
	delete(p.set, fd)
	return nil
}

func (p *poller) wait(events []PollEvent, timeout time.Duration) (int, error) {
	p.raw = append(p.raw[:0], unix.PollFd{Fd: int32(p.wakeRead), Events: unix.POLLIN})
	for fd, e := range p.set {
		if e.armed {
			p.raw = append(p.raw, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll(p.raw, ms); err == unix.EINTR {
		return 0, nil
	} else if err != nil {
		return 0, wrap("poll", err)
	}
	if p.raw[0].Revents != 0 {
		var b [64]byte
		for n := len(b); n == len(b); {
			n, _ = unix.Read(p.wakeRead, b[:]) // EAGAIN ends it with -1
		}
	}
	out := 0
	for _, f := range p.raw[1:] {
		if f.Revents == 0 || out == len(events) {
			continue
		}
		e := p.set[int(f.Fd)]
		e.armed = false
		events[out] = PollEvent{
			Key:    e.key,
			Read:   f.Revents&unix.POLLIN != 0,
			Hangup: f.Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0,
		}
		out++
	}
	return out, nil
}

func (p *poller) wake() error {
	_, err := retry1(func() (int, error) { return unix.Write(p.wakeSend, []byte{0}) })
	if err == unix.EAGAIN { // the pipe is full of wakes
		return nil
	}
	return wrap("write(wake pipe)", err)
}

func (p *poller) close() error {
	unix.Close(p.wakeSend)
	return wrap("close(wake pipe)", unix.Close(p.wakeRead))
}
