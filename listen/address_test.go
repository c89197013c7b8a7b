//go:build linux

package listen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// openAt opens a unix address of any network.
func openAt(a Address) (io.Closer, error) {
	if a.Network == "unixgram" {
		return a.ListenPacket()
	}
	return a.Listen()
}

var unixNetworks = []string{"unix", "unixpacket", "unixgram"}

func TestUnixMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	for _, network := range unixNetworks {
		for mode, want := range map[fs.FileMode]fs.FileMode{
			0: 0o600, 0o666: 0o666, 0o660: 0o660, 0o600: 0o600, 0o002: 0o002,
		} {
			path := filepath.Join(t.TempDir(), "socket")
			s, err := openAt(Address{Network: network, Address: path, Mode: mode})
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode() != fs.ModeSocket|want {
				t.Errorf("%s %o: %v %v", network, mode, info.Mode(), err)
			}
			if names, _ := filepath.Glob(path + "?*"); len(names) != 0 {
				t.Errorf("left behind: %v", names)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); network != "unixgram" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: Close left the name: %v", network, err)
			}
		}
	}
}

// The name never has more than its mode, not even between bind and the final
// chmod: with a umask of 0 what is seen first is what is wanted.
func TestUnixModeFromTheFirstMoment(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := t.TempDir()
	path := filepath.Join(dir, "socket")
	stop, seen := make(chan struct{}), make(chan fs.FileMode, 1)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			if info, err := os.Lstat(path); err == nil && info.Mode().Perm() != 0o600 {
				seen <- info.Mode()
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 300 {
		s, err := Address{Network: "unix", Address: path}.Listen()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	close(stop)
	watcher.Wait()
	select {
	case mode := <-seen:
		t.Errorf("seen with mode %v", mode)
	default:
	}
}

func TestUnixDeadSocketReplaced(t *testing.T) {
	for _, network := range unixNetworks {
		path := filepath.Join(t.TempDir(), "socket")
		for range 2 {
			s, err := openAt(Address{Network: network, Address: path})
			if err != nil {
				t.Fatalf("%s: %v", network, err)
			}
			if l, ok := s.(*net.UnixListener); ok {
				l.SetUnlinkOnClose(false) // as if killed
			}
			s.Close()
		}
	}
}

func TestUnixInUse(t *testing.T) {
	dir := t.TempDir()
	for _, holder := range unixNetworks {
		path := filepath.Join(dir, holder)
		s, err := openAt(Address{Network: holder, Address: path})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, network := range unixNetworks {
			if _, err := openAt(Address{Network: network, Address: path}); !errors.Is(err,
				syscall.EADDRINUSE) {
				t.Errorf("%s over a living %s: %v", network, holder, err)
			}
		}
		if conn, err := net.Dial(holder, path); err != nil {
			t.Errorf("%s no longer answers: %v", holder, err)
		} else {
			conn.Close()
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, dir, link} {
		if _, err := (Address{Network: "unix", Address: path}).Listen(); !errors.Is(err,
			syscall.EADDRINUSE) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "precious" {
		t.Errorf("%q %v", text, err)
	}
}

// A living socket whose queue is full is not taken for a dead one.
func TestUnixFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}),
		syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, err := (Address{Network: "unix", Address: path}).Listen(); !errors.Is(err,
		syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
}

// However many want the name that a dead process left, one gets it, it is the one
// that clients reach, and the others are told.
func TestUnixRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	for round := range 30 {
		results := make(chan net.Listener, 8)
		var all sync.WaitGroup
		for range cap(results) {
			all.Go(func() {
				l, err := Address{Network: "unix", Address: path}.Listen()
				if err == nil {
					results <- l
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		close(results)
		if len(results) != 1 {
			t.Fatalf("round %d: %d listeners", round, len(results))
		}
		l := (<-results).(*net.UnixListener)
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.SetDeadline(time.Now().Add(time.Minute))
		if got, err := l.Accept(); err != nil {
			t.Errorf("round %d: the name leads elsewhere: %v", round, err)
		} else {
			got.Close()
		}
		conn.Close()
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	if names, _ := filepath.Glob(path + ".*"); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// A lock left by a killed process and a planted link neither stop nor mislead.
func TestUnixLockFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "left")
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Address{Network: "unix", Address: path}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()

	path = filepath.Join(dir, "planted")
	if err := syscall.Mkfifo(path+".lock", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Address{Network: "unix", Address: path}).Listen(); err == nil {
		t.Error("a fifo in the place of the lock went unnoticed")
	}
}

// A lock on a file that no longer has the name is none: its holder is on the way
// out and somebody else may lock the new file.
func TestUnixLockOfOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	old, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := lock(old); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("removed: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lock(old); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("replaced: %v", err)
	}
}

func TestAddressRefused(t *testing.T) {
	for want, a := range map[string]Address{
		"network is none of tcp": {Network: "udp", Address: "127.0.0.1:0"},
		"not an absolute path":   {Network: "unix", Address: "socket"},
		"more than permissions": {Network: "unix", Address: "/tmp/x",
			Mode: fs.ModeSticky | 0o600},
		"no such file": {Network: "unix", Address: "/nonexistent/socket"},
		"invalid argument": {Network: "unix",
			Address: filepath.Join(t.TempDir(), strings.Repeat("x", 108))},
		"unknown port":             {Network: "tcp", Address: "127.0.0.1:nothing"},
		"listen  127.0.0.1:0: ":    {Address: "127.0.0.1:0"},
		"not an absolute path\x00": {Network: "unix"},
	} {
		_, err := a.Listen()
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(want, "\x00")) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := (Address{Network: "tcp", Address: "127.0.0.1:0"}).ListenPacket(); err == nil ||
		!strings.Contains(err.Error(), "none of udp") {
		t.Errorf("%v", err)
	}
}

func TestAbstract(t *testing.T) {
	a := Address{Network: "unix", Address: fmt.Sprintf("@listen-test-%d", os.Getpid())}
	l, err := a.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := a.Listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
}
