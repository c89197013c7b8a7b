//go:build linux

package listen

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestConfigControl: neither the options nor the mode of a unix socket drives the other out.
func TestConfigControl(t *testing.T) {
	for _, network := range unixNetworks {
		path := filepath.Join(t.TempDir(), "socket")
		called := 0
		lc := net.ListenConfig{Control: func(_, address string, c syscall.RawConn) (err error) {
			called++
			lost := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 20_000)
			})
			return errors.Join(lost, err)
		}}
		at := Address{Network: network, Address: path, Mode: 0o660}
		set := new(Set)
		var s socket
		var err error
		if network == "unixgram" {
			s, err = set.ListenPacketWith(t.Context(), lc, "a", at)
		} else {
			s, err = set.ListenWith(t.Context(), lc, "a", at)
		}
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 || called != 1 {
			t.Errorf("%s: %v %v, Control called %d times", network, info, err, called)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		lc.Control = func(string, string, syscall.RawConn) error { return fs.ErrInvalid }
		if _, err := at.ListenWith(t.Context(), lc); network != "unixgram" &&
			!errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: a Control that failed: %v", network, err)
		}
	}
}

// TestConfigEnded: the context bounds what is looked up.
func TestConfigEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := Address{Network: "tcp", Address: "localhost:0"}
	if l, err := at.ListenWith(ctx, net.ListenConfig{}); err == nil {
		t.Errorf("%v", l)
	}
}

// TestUntaken: what is left is what nobody took.
func TestUntaken(t *testing.T) {
	stream, _ := tcp(t)
	datagram, _ := udp(t)
	set := &Set{[]*Socket{
		{Name: "web", Kind: Stream, fd: 3, file: stream},
		{Name: "dns", Kind: Datagram, fd: 4, file: datagram},
	}}
	l, err := set.ListenWith(t.Context(), net.ListenConfig{KeepAlive: -1}, "web", Address{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if left := set.Untaken(); len(left) != 1 || left[0].Name != "dns" {
		t.Errorf("%+v", left)
	}
	if err := set.Close(); err != nil || len(set.Untaken()) != 0 {
		t.Errorf("%v, %+v", err, set.Untaken())
	}
}
