package server

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// withoutDescriptors takes every descriptor that is free, until the test ends.
func withoutDescriptors(t *testing.T) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := syscall.Rlimit{Cur: min(before.Cur, 256), Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var kept []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		kept = append(kept, f)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
		for _, f := range kept {
			f.Close()
		}
	})
}

// Who comes when no descriptor is left is let in with one that was set aside for that, and the next
// one too.
func TestAcceptWithoutDescriptors(t *testing.T) {
	proctest.CheckLeaks(t)
	path := filepath.Join(shortDir(t), "s")
	l, err := listenUnix(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var clients []net.Conn
	for range 3 { // they wait in the queue
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	withoutDescriptors(t)
	for _, c := range clients {
		accepted := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, err = conn.Write([]byte("x"))
			}
			if err == nil {
				err = conn.Close()
			}
			accepted <- err
		}()
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
	}
}

func TestMostConns(t *testing.T) {
	for descriptors, want := range map[uint64]int{
		0: maxConns, 8: 2, 64: 8, 1024: 128, 1 << 20: maxConns,
	} {
		if have := mostConns(descriptors); have != want {
			t.Errorf("of %d: %d, want %d", descriptors, have, want)
		}
	}
}
