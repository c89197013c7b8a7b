//go:build linux

package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func me() sys.Owner { return sys.Owner{UID: os.Geteuid(), GID: os.Getegid()} }

// at describes a socket with the defaults that the engine gives it.
func at(t *testing.T, listen string, change ...func(*spec.Socket)) spec.Socket {
	t.Helper()
	a, err := spec.ParseAddress(listen)
	if err != nil {
		t.Fatal(err)
	}
	one := spec.Socket{Listen: a}
	for _, f := range change {
		f(&one)
	}
	return spec.Service{Name: "s", Sockets: []spec.Socket{one}}.WithDefaults().Sockets[0]
}

func mustOpen(t *testing.T, s spec.Socket) *Socket {
	t.Helper()
	opened, err := Open(t.Context(), s, me())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Remove() })
	return opened
}

// shortDir is a directory whose name leaves room for a socket's (unix(7): 107 bytes).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestOpenKinds(t *testing.T) {
	dir := shortDir(t)
	for _, c := range []struct {
		listen    string
		kind      int
		listening bool
	}{
		{"tcp:127.0.0.1:0", syscall.SOCK_STREAM, true},
		{"tcp:[::1]:0", syscall.SOCK_STREAM, true},
		{"tcp:localhost:0", syscall.SOCK_STREAM, true},
		{"udp:127.0.0.1:0", syscall.SOCK_DGRAM, false},
		{"unix:" + dir + "/stream", syscall.SOCK_STREAM, true},
		{"unixgram:" + dir + "/dgram", syscall.SOCK_DGRAM, false},
		{"unixpacket:" + dir + "/packet", syscall.SOCK_SEQPACKET, true},
		{fmt.Sprintf("unix:@sock%d", os.Getpid()), syscall.SOCK_STREAM, true},
	} {
		s, err := Open(t.Context(), zeroPort(t, c.listen), me())
		if err != nil {
			t.Errorf("%s: %v", c.listen, err)
			continue
		}
		kind, err := sys.KindOf(s.FD)
		if err != nil || kind.Type != c.kind || kind.Listening != c.listening {
			t.Errorf("%s: %+v, %v", c.listen, kind, err)
		}
		if err := s.Remove(); err != nil {
			t.Errorf("%s: %v", c.listen, err)
		}
		if s.Path != "" {
			if _, err := os.Lstat(s.Path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: its name is left: %v", c.listen, err)
			}
		}
	}
}

// zeroPort is at with port 0, which the kernel fills in and a file may not ask for.
func zeroPort(t *testing.T, listen string) spec.Socket {
	t.Helper()
	rest, zero := strings.CutSuffix(listen, ":0")
	if !zero {
		return at(t, listen)
	}
	s := at(t, rest+":1")
	s.Listen.Addr = strings.TrimSuffix(s.Listen.Addr, "1") + "0"
	return s
}

func TestInetOptions(t *testing.T) {
	s := zeroPort(t, "tcp:[::]:0")
	s.V6Only = new(true)
	six := mustOpen(t, s)
	if v, err := syscall.GetsockoptInt(six.FD, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY); v != 1 ||
		err != nil {
		t.Errorf("v6only: %d %v", v, err)
	}
	addr, err := local(six.FD)
	if err != nil {
		t.Fatal(err)
	}
	// IPv4 is free there.
	mustOpen(t, at(t, fmt.Sprintf("tcp:0.0.0.0:%d", addr.Port())))

	all := zeroPort(t, "tcp::0")
	wide := mustOpen(t, all)
	if addr, err = local(wide.FD); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(addr.Port())))
		if err != nil {
			t.Errorf("all addresses: %v", err)
			continue
		}
		conn.Close()
	}

	shared := zeroPort(t, "udp:127.0.0.1:0")
	shared.ReusePort = true
	first := mustOpen(t, shared)
	if addr, err = local(first.FD); err != nil {
		t.Fatal(err)
	}
	again := at(t, fmt.Sprintf("udp:127.0.0.1:%d", addr.Port()))
	if _, err := Open(t.Context(), again, me()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a stranger shared a UDP port: %v", err)
	}
	again.ReusePort = true
	mustOpen(t, again)
}

func TestErrorsSayStepObjectReason(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := shortDir(t)
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for listen, want := range map[string]string{
		"tcp:" + taken.Addr().String(): "open socket tcp:" + taken.Addr().String() +
			": bind: address already in use",
		"tcp:[fe80::1%none]:80": "interface none: ",
		"tcp:203.0.113.7:80": "open socket tcp:203.0.113.7:80: bind: cannot assign " +
			"requested address",
		"unix:" + dir + "/file": "a file that is not a socket is in the way: address already " +
			"in use",
		"unix:" + dir + "/link": "a file that is not a socket is in the way: address already " +
			"in use",
		"unix:" + dir + "/none/s": "open socket unix:" + dir + "/none/s: lstat " + dir +
			"/none: no such file or directory",
		"fifo:" + dir + "/file":   "not a FIFO",
		"fifo:" + dir + "/link":   "too many levels of symbolic links",
		"unix:" + dir + "/file/s": "not a directory",
	} {
		_, err := Open(t.Context(), at(t, listen), me())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", listen, err, want)
		}
	}
}

func TestModeFromTheFirstMoment(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := shortDir(t)
	for _, network := range []string{"unix", "unixgram", "unixpacket", "fifo"} {
		for _, mode := range []spec.Mode{0o600, 0o660, 0o666, 0o622} {
			s := mustOpen(t,
				at(t, network+":"+dir+"/s", func(s *spec.Socket) { s.Mode = new(mode) }))
			info, err := os.Lstat(s.Path)
			if err != nil || info.Mode().Perm() != fs.FileMode(mode) {
				t.Errorf("%s: %v, %v; want %o", network, info.Mode(), err, mode)
			}
			if err := s.Remove(); err != nil {
				t.Error(err)
			}
		}
	}
	if syscall.Umask(0o077) != 0o077 {
		t.Error("the umask of the process was changed")
	}
}

func TestStaleIsReplacedAndLivingIsNot(t *testing.T) {
	dir := shortDir(t)
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		s := at(t, network+":"+dir+"/"+network)
		first := mustOpen(t, s)
		if _, err := Open(t.Context(), s, me()); !errors.Is(err, syscall.EADDRINUSE) ||
			!strings.Contains(err.Error(), "another process listens there") {
			t.Errorf("%s: %v", network, err)
		}
		first.Close() // as by kill -9: the name stays
		second := mustOpen(t, s)
		// Somebody takes the name away, and a third one has it: it is not the second's to remove.
		if err := os.Remove(second.Path); err != nil {
			t.Fatal(err)
		}
		third := mustOpen(t, s)
		if err := second.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(third.Path); err != nil {
			t.Errorf("%s: removing an old one took the new one's name: %v", network, err)
		}
	}
}

func TestFIFOHasNoEnd(t *testing.T) {
	s := mustOpen(t, at(t, "fifo:"+shortDir(t)+"/f"))
	for range 2 {
		w, err := os.OpenFile(s.Path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.WriteString("x")
		w.Close()
		var b [1]byte
		if n, err := sys.ReadFD(s.FD, b[:]); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
}

// What others planted leads nowhere, and a directory in which they could exchange things is
// refused.
func TestPlanted(t *testing.T) {
	if os.Geteuid() != 0 {
		// An ordinary user cannot plant as another one; a directory open to all is there for
		// everybody.
		dir := shortDir(t)
		os.Chmod(dir, 0o777)
		if _, err := Open(t.Context(), at(t, "unix:"+dir+"/s"), me()); !errors.Is(err,
			sys.ErrInsecure) {
			t.Errorf("%v", err)
		}
		return
	}
	const stranger, owner = 65534, 65533
	dir := shortDir(t)
	os.Chmod(dir, 0o755)
	made := func(name string, mode fs.FileMode, uid int) string {
		path := filepath.Join(dir, name)
		err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode), os.Chown(path, uid, uid))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	open777, his := made("open", 0o777, 0), made("his", 0o755, stranger)
	sticky := made("sticky", 0o777|fs.ModeSticky, 0)
	if err := errors.Join(os.Symlink("/etc", sticky+"/planted"),
		os.Lchown(sticky+"/planted", stranger, stranger),
		os.Symlink(sticky, dir+"/ours")); err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{
		"unix:" + open777 + "/s", "unix:" + his + "/s", "fifo:" + his + "/s",
		"unix:" + sticky + "/planted/s", "fifo:" + sticky + "/planted/s",
	} {
		s, err := Open(t.Context(), at(t, listen), sys.Owner{UID: owner, GID: owner})
		if !errors.Is(err, sys.ErrInsecure) {
			t.Errorf("%s: %v", listen, err)
			if err == nil {
				s.Remove()
			}
		}
	}
	for _, listen := range []string{
		"unix:" + sticky + "/s", "fifo:" + sticky + "/f", "unix:" + dir + "/ours/t",
	} {
		s, err := Open(t.Context(), at(t, listen), sys.Owner{UID: owner, GID: owner})
		if err != nil {
			t.Errorf("%s: %v", listen, err)
			continue
		}
		info, _ := os.Lstat(s.Path)
		if has, _, _ := sys.FileOwner(info); has != (sys.Owner{UID: owner, GID: owner}) {
			t.Errorf("%s belongs to %v", listen, has)
		}
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// In a directory of the owner's everything is done with his rights over files.
func TestOwnersDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		// his own directory is an ordinary user's only one
		s := mustOpen(t, at(t, "unix:"+shortDir(t)+"/s"))
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
		return
	}
	owner := sys.Owner{UID: 65534, GID: 65534}
	dir := shortDir(t)
	if err := os.Chown(dir, owner.UID, owner.GID); err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"unix", "unixgram", "fifo"} {
		s, err := Open(t.Context(), at(t, network+":"+dir+"/"+network), owner)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := os.Lstat(s.Path)
		if has, _, _ := sys.FileOwner(info); has != owner {
			t.Errorf("%s belongs to %v", network, has)
		}
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	}
	// Even root's rights do not reach where his do not.
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), at(t, "unix:"+dir+"/s"), owner); !errors.Is(err,
		fs.ErrPermission) {
		t.Errorf("made where the owner may not: %v", err)
	}
	if uid, _ := os.Stat("/"); uid == nil || os.Geteuid() != 0 {
		t.Error("the process is not what it was")
	}
}

func TestAdopt(t *testing.T) {
	s := at(t, "unix:"+shortDir(t)+"/s")
	first := mustOpen(t, s)
	fd, err := sys.DupAbove(first.FD, 3)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	second, err := Adopt(fd, s, me())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), s, me()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
	if err := second.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Listen.Addr); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its name is left: %v", err)
	}
}
