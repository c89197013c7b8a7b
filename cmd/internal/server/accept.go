package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// maxConns bounds the connections to a listener, for descriptors are what
// services need as well. Who comes too late waits until another one goes.
const maxConns = 256

// connShare is how much of the process's descriptors the connections to a listener may be, as a
// fraction.
const connShare = 8

// mostConns is maxConns, or as many as a process with so many descriptors, 0 for any number, can
// spare.
func mostConns(descriptors uint64) int {
	if descriptors == 0 {
		return maxConns
	}
	return int(min(maxConns, max(2, descriptors/connShare)))
}

// reserved is how many descriptors a listener sets aside: for the connection of somebody who comes
// when there are none, and for what his request needs.
const reserved = 8

// shortPause is how long to wait with the next attempt to accept, when not even what was set aside
// is enough.
const shortPause = 50 * time.Millisecond

// longPause is the longest wait between attempts to accept, when they fail for another reason.
const longPause = time.Second

// limited is a listener with at most so many connections at a time, that can be paused.
type limited struct {
	net.Listener
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
	spare  sys.Reserve
	guests guests
	// trouble is told why nobody can come in, once until somebody has. Nil: nobody is told.
	trouble func(error)

	mu                       sync.Mutex // of what follows, and of Listener
	at, path                 string     // of a control socket: where it is, and where it should be
	changed                  *sync.Cond
	paused, accepting, ended bool
	spent                    bool // nothing is set aside any more
}

func limit(l net.Listener, n int) *limited {
	limited := &limited{Listener: l, free: make(chan struct{}, n), closed: make(chan struct{})}
	limited.changed = sync.NewCond(&limited.mu)
	limited.setAside()
	return limited
}

func (l *limited) Accept() (net.Conn, error) {
	if err := l.takePlace(); err != nil {
		return nil, err
	}
	c, err := l.accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	place := &place{guests: &l.guests}
	place.release = sync.OnceFunc(func() {
		l.guests.remove(place.guest)
		<-l.free
		l.setAside()
	})
	var taken net.Conn = &otherConn{c, place}
	if u, ok := c.(*net.UnixConn); ok {
		taken = &unixConn{u, place}
	}
	place.guest = l.guests.add(taken)
	return taken, nil
}

// accept returns an error only when there is nothing to accept from any more. accept(2) fails for
// want of memory, for what a firewall says, and with the errors of the connection that it was to
// return: none is a reason to let nobody in for ever.
func (l *limited) accept() (net.Conn, error) {
	pause := shortPause
	for {
		if !l.begin() {
			return nil, net.ErrClosed
		}
		from := l.current()
		c, err := from.Accept()
		l.mu.Lock()
		l.accepting = false
		replaced := l.Listener != from
		l.changed.Broadcast()
		l.mu.Unlock()
		switch {
		case errors.Is(err, net.ErrClosed) && replaced:
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			if l.spare.Release() == 0 {
				l.wait(shortPause)
			}
		case err == nil, errors.Is(err, net.ErrClosed):
			return c, err
		default:
			if pause == shortPause && l.trouble != nil {
				l.trouble(fmt.Errorf("control API at %v: let clients in: %w: tried again till it "+
					"works", from.Addr(), err))
			}
			l.wait(pause)
			pause = min(2*pause, longPause)
		}
	}
}

// setAside fills the reserve as far as it can be: the next connection that ends tries again.
func (l *limited) setAside() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && !l.spent {
		_ = l.spare.Fill(reserved) // without, who comes in a shortage waits for its end
	}
}

// spend gives up for good what was set aside: it is for the supervisor's end, too.
func (l *limited) spend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spent = true
	l.spare.Release()
}

// wait returns after d, or when the listener is closed.
func (l *limited) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.closed:
	}
}

// begin waits for the end of a pause, and says whether there is anything to accept from then.
func (l *limited) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.paused && !l.ended {
		l.changed.Wait()
	}
	l.accepting = true
	return !l.ended
}

// pause has connections wait in the kernel's queue until resume: all that come after it has
// returned. It waits for the one who accepts, because a deadline that has passed does not keep the
// poller from delivering what came since.
func (l *limited) pause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
	if err := l.deadline(time.Unix(1, 0)); err != nil {
		return err
	}
	for l.accepting && !l.ended {
		l.changed.Wait()
	}
	return nil
}

func (l *limited) resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.deadline(time.Time{})
	l.paused = false
	l.changed.Broadcast()
	return err
}

// deadline is for whoever holds mu.
func (l *limited) deadline(t time.Time) error {
	d, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return fmt.Errorf("a %T cannot be paused: %w", l.Listener, errors.ErrUnsupported)
	}
	return d.SetDeadline(t)
}

// descriptor is the number of the listener's own, which stays so.
func (l *limited) descriptor() (fd int, err error) {
	from := l.current()
	s, ok := from.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("a %T has no descriptor: %w", from, errors.ErrUnsupported)
	}
	conn, err := s.SyscallConn()
	if err == nil {
		err = conn.Control(func(n uintptr) { fd = int(n) })
	}
	return fd, err
}

func (l *limited) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.mu.Lock()
		l.ended = true
		l.changed.Broadcast()
		l.spare.Release()
		l.unname()
		l.mu.Unlock()
	})
	return l.current().Close()
}

// place is what a connection has of its listener until it is closed.
type place struct {
	guests  *guests
	guest   *guest
	release func()
}

// letIn keeps the place for as long as the connection likes.
func (p *place) letIn() { p.guests.remove(p.guest) }

// unixConn keeps what a Unix socket can besides being a net.Conn: to tell its peer.
type unixConn struct {
	*net.UnixConn
	*place
}

func (c *unixConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}

type otherConn struct {
	net.Conn
	*place
}

func (c *otherConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
