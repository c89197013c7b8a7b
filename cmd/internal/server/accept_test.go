package server

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

// failing is a listener from which accept(2) fails so often.
type failing struct {
	net.Listener
	with error
	left atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "unix", Addr: f.Addr(), Err: f.with}
	}
	return f.Listener.Accept()
}

// Whatever accept(2) fails with, who comes is let in when it works again, and why it did not is
// told, once. net/http ends its loop at most of these errors, and the supervisor would answer
// nobody until it is killed.
func TestAcceptGoesOn(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ENOMEM, syscall.ENOBUFS, syscall.EPERM, syscall.EPROTO, syscall.EIO,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			proctest.CheckLeaks(t)
			path := filepath.Join(shortDir(t), "s")
			l, err := listenUnix(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			below := &failing{Listener: l.Listener, with: errno}
			below.left.Store(2)
			l.Listener = below
			var told []string
			l.trouble = func(err error) { told = append(told, err.Error()) }
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conn, err := l.Accept()
			if err != nil {
				t.Fatal("nobody is let in any more:", err)
			}
			defer conn.Close()
			if len(told) != 1 || !strings.Contains(told[0], errno.Error()) {
				t.Errorf("told %q", told)
			}
		})
	}
}

// A listener that is closed while it waits for the next attempt ends the wait.
func TestAcceptEnds(t *testing.T) {
	proctest.CheckLeaks(t)
	l, err := listenUnix(filepath.Join(shortDir(t), "s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	below := &failing{Listener: l.Listener, with: syscall.ENOMEM}
	below.left.Store(1 << 30)
	l.Listener = below
	told := make(chan struct{})
	l.trouble = func(error) { close(told) }
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	select {
	case <-told:
	case err := <-ended:
		t.Fatal("ended by itself:", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error("ended with", err)
	}
}
