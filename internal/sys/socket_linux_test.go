package sys

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sockets opens a receiver and a sender connected to it.
func notifyPair(t *testing.T, path string) (*NotifySocket, int) {
	t.Helper()
	s, err := ListenNotify(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	fd, err := OpenUnixDatagram()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseFD(fd) })
	if err := Connect(fd, Address{Unix: s.Address}); err != nil {
		t.Fatal(err)
	}
	return s, fd
}

func openFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestNotifySocketNames(t *testing.T) {
	a, _ := notifyPair(t, "")
	b, _ := notifyPair(t, "")
	if a.Address == b.Address || !strings.HasPrefix(a.Address, "@") || len(a.Address) < 2 {
		t.Errorf("autobind gave %q and %q", a.Address, b.Address)
	}

	path := filepath.Join(t.TempDir(), "notify")
	s, _ := notifyPair(t, path)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != os.ModeSocket|0o666 {
		t.Errorf("mode %v", fi.Mode())
	}
	if _, err := ListenNotify(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second socket of that name: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the failed attempt removed the first one's name: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Close left the name: %v", err)
	}
}

func TestMessageCarriesSenderAndFiles(t *testing.T) {
	s, fd := notifyPair(t, "")
	before := openFDs(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := make([]int, MaxFiles)
	for i := range files {
		files[i] = int(file.Fd())
	}
	if n, err := SendMsg(fd, []byte("X=1"), files, nil); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	buf := make([]byte, 100)
	pkt, err := s.Receive(buf)
	if err != nil {
		t.Fatal(err)
	}
	if string(buf[:pkt.N]) != "X=1" || pkt.Cut || pkt.FilesLost || len(pkt.Files) != MaxFiles {
		t.Errorf("%q %+v", buf[:pkt.N], pkt)
	}
	if want := (Sender{os.Getpid(), os.Geteuid(), os.Getegid()}); pkt.Sender != want {
		t.Errorf("sender %+v, want %+v", pkt.Sender, want)
	}
	var want, got unix.Stat_t
	unix.Fstat(int(file.Fd()), &want)
	for _, fd := range pkt.Files {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Fatalf("descriptor %d: flags %#x, %v", fd, flags, err)
		}
		if unix.Fstat(fd, &got); got.Ino != want.Ino {
			t.Fatal("another file arrived")
		}
	}
	pkt.CloseFiles()
	if n := openFDs(t); n != before+1 { // file
		t.Errorf("%d descriptors, %d before", n, before)
	}
	if _, err := SendMsg(fd, []byte("X=1"), append(files, 0), nil); !errors.Is(err, syscall.E2BIG) {
		t.Errorf("one file too many: %v", err)
	}
}

func TestForgedSender(t *testing.T) {
	s, fd := notifyPair(t, "")
	_, err := SendMsg(fd, []byte("X=1"), nil, &Sender{PID: os.Getppid(), UID: 12345, GID: 12345})
	if os.Geteuid() != 0 {
		if !errors.Is(err, syscall.EPERM) {
			t.Fatalf("an ordinary user sent as somebody else: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	pkt, err := s.Receive(make([]byte, 10))
	if want := (Sender{os.Getppid(), 12345, 12345}); err != nil || pkt.Sender != want {
		t.Errorf("%+v %v", pkt.Sender, err)
	}
}

func TestCutMessage(t *testing.T) {
	s, fd := notifyPair(t, "")
	if _, err := SendMsg(fd, []byte("123456"), nil, nil); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	pkt, err := s.Receive(buf)
	if err != nil || !pkt.Cut || pkt.N != 4 {
		t.Errorf("%+v %v", pkt, err)
	}
	if _, err := RecvMsg(int(s.File().Fd()), buf); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("the rest of a datagram was kept: %v", err)
	}
}

// A receiver without a free descriptor number gets the message, is told of the
// loss, and leaks nothing.
func TestFilesLost(t *testing.T) {
	s, fd := notifyPair(t, "")
	before := openFDs(t)
	if _, err := SendMsg(fd, []byte("X=1"), []int{0, 1, 2}, nil); err != nil {
		t.Fatal(err)
	}
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	none := lim
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	pkt, err := s.Receive(make([]byte, 10))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if err != nil || !pkt.FilesLost || len(pkt.Files) != 0 || pkt.N != 3 {
		t.Errorf("%+v %v", pkt, err)
	}
	if pkt.Sender.PID != os.Getpid() {
		t.Errorf("sender %+v", pkt.Sender)
	}
	if n := openFDs(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

func TestReceiveEnds(t *testing.T) {
	s, _ := notifyPair(t, "")
	s.File().SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := s.Receive(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	s.File().SetReadDeadline(time.Time{})
	done := make(chan error)
	go func() {
		_, err := s.Receive(make([]byte, 10))
		done <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

func TestKindOf(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(name string) int {
		f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return int(f.Fd())
	}
	socket := func(domain, kind int, listen bool) int {
		fd, err := OpenSocket(domain, kind)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { CloseFD(fd) })
		if listen {
			if err := errors.Join(Bind(fd, Address{}), unix.Listen(fd, 1)); err != nil {
				t.Fatal(err)
			}
		}
		return fd
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(epoll)
	for name, c := range map[string]struct {
		fd   int
		want SocketKind
	}{
		"fifo":  {open(filepath.Join(dir, "fifo")), SocketKind{Mode: os.ModeNamedPipe}},
		"dir":   {open(dir), SocketKind{Mode: os.ModeDir}},
		"null":  {open("/dev/null"), SocketKind{Mode: os.ModeDevice | os.ModeCharDevice}},
		"file":  {open("/proc/self/exe"), SocketKind{}},
		"epoll": {epoll, SocketKind{Mode: os.ModeIrregular}},
		"stream": {socket(unix.AF_INET, unix.SOCK_STREAM, false),
			SocketKind{true, unix.SOCK_STREAM, false, os.ModeSocket}},
		"listener": {socket(unix.AF_UNIX, unix.SOCK_STREAM, true),
			SocketKind{true, unix.SOCK_STREAM, true, os.ModeSocket}},
		"packets": {socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, true),
			SocketKind{true, unix.SOCK_SEQPACKET, true, os.ModeSocket}},
		"datagram": {socket(unix.AF_INET, unix.SOCK_DGRAM, false),
			SocketKind{true, unix.SOCK_DGRAM, false, os.ModeSocket}},
	} {
		if got, err := KindOf(c.fd); err != nil || got != c.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
	}
	if _, err := KindOf(1 << 20); !errors.Is(err, syscall.EBADF) {
		t.Errorf("closed descriptor: %v", err)
	}
}

func TestPeerOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := PeerOf(server)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	slices.Sort(p.Groups)
	if p.PID != os.Getpid() || p.UID != os.Geteuid() || p.GID != os.Getegid() ||
		!slices.Equal(p.Groups, groups) {
		t.Errorf("peer: %+v, want ourselves with groups %v", p, groups)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := PeerOf(server); err == nil {
		t.Error("a closed socket has a peer")
	}
}

// What a launcher that was killed has left is removed by the next one; what somebody still has
// open, or what is none of it, is not.
func TestNotifyDirectoriesAreTidied(t *testing.T) {
	parent, err := os.MkdirTemp("/tmp", "dmn") // t.TempDir may be too long for a socket (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(parent)
	open := func() *NotifySocket {
		s, err := ListenNotifyIn(parent, -1)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	lives, killed := open(), open()
	defer lives.Close()
	dead := filepath.Base(killed.dir)
	other, full, fresh, old := parent+"/notify-x1", parent+"/notify-2", parent+"/notify-3",
		parent+"/notify-4"
	long := time.Now().Add(-time.Hour)
	err = errors.Join(killed.file.Close(), os.Mkdir(other, 0o700), os.Mkdir(full, 0o700),
		os.WriteFile(full+"/socket", nil, 0o600),
		os.Mkdir(fresh, 0o700), os.Mkdir(old, 0o700), os.Chtimes(old, long, long))
	if err != nil {
		t.Fatal(err)
	}
	last := open()
	defer last.Close()
	list, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	for name, want := range map[string]bool{
		filepath.Base(lives.dir): true, filepath.Base(last.dir): true, dead: false,
		"notify-x1": true, "notify-2": true, "notify-3": true, "notify-4": false,
	} {
		if slices.Contains(names, name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
}
