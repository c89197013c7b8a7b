package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/upgrade"
)

// extras are what a server opens besides its own, and tells about.
var extras = map[string]func(u *upgrade.Upgrader, mux *http.ServeMux, kind string) error{
	"with": listenWith, "func": listenFunc, "files": addFiles, "untaken": untaken,
}

// Of Linux's asm-generic/socket.h and tcp.h; package syscall has them for some architectures only.
const (
	soReusePort = 15
	soProtocol  = 38
	tcpFastOpen = 23
)

// options are the socket's and the connection's that a successor has to have as well.
var options = []struct {
	name          string
	level, option int
}{
	{"SO_REUSEPORT", syscall.SOL_SOCKET, soReusePort},
	{"TCP_FASTOPEN", syscall.IPPROTO_TCP, tcpFastOpen},
	{"SO_PROTOCOL", syscall.SOL_SOCKET, soProtocol},
	{"SO_RCVBUF", syscall.SOL_SOCKET, syscall.SO_RCVBUF},
	{"SO_KEEPALIVE", syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
	{"TCP_KEEPIDLE", syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE},
	{"TCP_KEEPINTVL", syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
	{"TCP_KEEPCNT", syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
}

func describeSocket(what string, c any) string {
	text := what + ":"
	err := sys.WithFD(c.(syscall.Conn), func(fd int) error {
		silent := false
		for _, o := range options {
			if silent && strings.HasPrefix(o.name, "TCP_KEEP") {
				continue // they mean nothing without SO_KEEPALIVE
			}
			if n, err := syscall.GetsockoptInt(fd, o.level, o.option); err == nil {
				text += fmt.Sprintf(" %s=%d", o.name, n)
				silent = silent || o.name == "SO_KEEPALIVE" && n == 0
			}
		}
		return nil
	})
	return fmt.Sprintln(text, err)
}

// listenWith opens one listener of each keep-alive, and a packet socket, and tells how they and
// what they accept are.
func listenWith(u *upgrade.Upgrader, mux *http.ServeMux, _ string) error {
	called := 0
	control := func(network, _ string, c syscall.RawConn) (err error) {
		called++
		lost := c.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1),
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 20_000))
			if strings.HasPrefix(network, "tcp") {
				err = errors.Join(err,
					syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpFastOpen, 16))
			}
		})
		return errors.Join(lost, err)
	}
	alive := net.KeepAliveConfig{Enable: true, Idle: 70 * time.Second, Interval: -1, Count: 3}
	many := net.ListenConfig{Control: control, KeepAliveConfig: alive}
	many.SetMultipathTCP(true)
	plain := net.ListenConfig{Control: control}
	plain.SetMultipathTCP(false)
	var opened []io.Closer
	for _, c := range []struct {
		name string
		lc   net.ListenConfig
	}{
		{"plain", plain},
		{"config", many},
		{"off", net.ListenConfig{Control: control, KeepAlive: -1}},
		{"minute", net.ListenConfig{Control: control, KeepAlive: time.Minute}},
	} {
		l, err := u.ListenWith(context.Background(), c.lc, c.name, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		opened = append(opened, l)
	}
	p, err := u.ListenPacketWith(context.Background(), plain, "packet", "udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	opened = append(opened, p)
	mux.HandleFunc("/called", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, called)
	})
	mux.HandleFunc("/options", func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range opened {
			fmt.Fprintf(w, "%T ", c)
			fmt.Fprint(w, describeSocket("socket", c))
			l, ok := c.(net.Listener)
			if !ok {
				continue
			}
			there, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				fmt.Fprintln(w, err)
				continue
			}
			here, err := l.Accept()
			if err != nil {
				fmt.Fprintln(w, err)
				continue
			}
			fmt.Fprintf(w, "%T ", here)
			fmt.Fprint(w, describeSocket("connection", here))
			here.Close()
			there.Close()
		}
	})
	return nil
}

// TestListenWith: a successor has the sockets with their options, and what it accepts has the
// keep-alive that was asked for.
func TestListenWith(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t, "-extra", "with")
	if got := r.get("/called"); got != "5" {
		t.Errorf("Control was called %s times for 5 new sockets", got)
	}
	first := r.get("/options")
	interval, err := os.ReadFile("/proc/sys/net/ipv4/tcp_keepalive_intvl")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"*net.TCPListener socket: SO_REUSEPORT=1", "SO_RCVBUF=40000", "TCP_FASTOPEN=16",
		"SO_KEEPALIVE=0 <nil>",
		"SO_KEEPALIVE=1 TCP_KEEPIDLE=60 TCP_KEEPINTVL=15 TCP_KEEPCNT=9",
		"SO_KEEPALIVE=1 TCP_KEEPIDLE=70 TCP_KEEPINTVL=" + strings.TrimSpace(string(interval)) +
			" TCP_KEEPCNT=3",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("no %s in\n%s", want, first)
		}
	}
	for range 2 {
		r.upgrade()
		if again := r.get("/options"); again != first {
			t.Errorf("first\n%s\nnow\n%s", first, again)
		}
		if got := r.get("/called"); got != "0" {
			t.Errorf("Control was called %s times for sockets that are there", got)
		}
	}
}

// listenFunc opens sockets by functions of its own.
func listenFunc(u *upgrade.Upgrader, mux *http.ServeMux, _ string) error {
	var called []string
	l, err := u.ListenFunc("stream", "tcp", "127.0.0.1:0",
		func(network, address string) (net.Listener, error) {
			called = append(called, network+" "+address)
			return net.Listen(network, address)
		})
	if err != nil {
		return err
	}
	dir := os.Getenv("UNIX_DIR")
	u1, err := u.ListenFunc("unix", "unix", filepath.Join(dir, "own"), net.Listen)
	if err != nil {
		return err
	}
	p, err := u.ListenPacketFunc("packet", "udp", "127.0.0.1:0",
		func(network, address string) (net.PacketConn, error) {
			called = append(called, network+" "+address)
			return net.ListenPacket(network, address)
		})
	if err != nil {
		return err
	}
	_, err = u.ListenFunc("none", "x", "y", func(string, string) (net.Listener, error) {
		return nil, nil
	})
	_, wrapped := u.ListenFunc("wrapped", "tcp", "127.0.0.1:0",
		func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return struct{ net.Listener }{l}, err
		})
	_, failed := u.ListenPacketFunc("failed", "a", "b",
		func(string, string) (net.PacketConn, error) { return nil, errors.New("no luck") })
	mux.HandleFunc("/func", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, l.Addr(), u1.Addr(), p.LocalAddr())
	})
	mux.HandleFunc("/called", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.Join(called, ", "))
	})
	mux.HandleFunc("/errors", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%v\n%v\n%v\n", err, wrapped, failed)
	})
	return nil
}

// TestListenFunc: the function makes the socket in the first process and in no other.
func TestListenFunc(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	t.Setenv("UNIX_DIR", r.dir)
	r.start("-extra", "func")
	addresses := r.get("/func")
	if got := r.get("/called"); got != "tcp 127.0.0.1:0, udp 127.0.0.1:0\n" {
		t.Errorf("called for %q", got)
	}
	want := "upgrade: open none: there is none\n" +
		"upgrade: open wrapped: struct { net.Listener } has no descriptor\n" +
		"upgrade: open failed: no luck\n"
	if got := r.get("/errors"); got != want {
		t.Errorf("errors %q", got)
	}
	for range 2 {
		r.upgrade()
		if got := r.get("/func"); got != addresses {
			t.Errorf("addresses %q, then %q", addresses, got)
		}
		if got := r.get("/called"); got != "\n" {
			t.Errorf("called again for %q", got)
		}
	}
	last := r.pid()
	if err := syscall.Kill(last, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, last)
}

// addFiles reads what the generation before has left, and leaves its own.
func addFiles(u *upgrade.Upgrader, mux *http.ServeMux, _ string) error {
	before := "nothing"
	old, err := u.File("generation", nil)
	switch {
	case err == nil:
		b, err := io.ReadAll(io.NewSectionReader(old, 0, 1<<10))
		if err != nil {
			return err
		}
		before = string(b)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	own, err := os.CreateTemp("", "upgrade-generation")
	if err != nil {
		return err
	}
	if err := errors.Join(os.Remove(own.Name()), u.AddFile("generation", own)); err != nil {
		return err
	}
	if old != nil {
		if err := old.Close(); err != nil {
			return err
		}
	}
	fmt.Fprintf(own, "left by %d", os.Getpid())
	mux.HandleFunc("/before", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, before)
	})
	mux.HandleFunc("/errors", func(w http.ResponseWriter, _ *http.Request) {
		gone, _ := os.Open("/")
		gone.Close()
		for _, err := range []error{u.AddFile("a:b", own), u.AddFile("web", own),
			u.AddFile("gone", gone), u.AddFile("nil", nil)} {
			fmt.Fprintln(w, err)
		}
		for _, open := range []func(name string) error{
			func(name string) error { _, err := u.Listen(name, "tcp", "127.0.0.1:0"); return err },
			func(name string) error { _, err := u.ListenPacket(name, "udp", ":0"); return err },
			func(name string) error {
				_, err := u.ListenFunc(name, "", "", net.Listen)
				return err
			},
			func(name string) error { _, err := u.File(name, nil); return err },
		} {
			fmt.Fprintln(w, open("tcp:[::]:80"))
		}
	})
	return nil
}

// TestAddFile: each generation has the file of the one before, and no older one stays open.
func TestAddFile(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t, "-extra", "files")
	if got := r.get("/before"); got != "nothing" {
		t.Errorf("the first has %q", got)
	}
	for range 3 {
		old := r.pid()
		now := r.upgrade()
		if got, want := r.get("/before"), fmt.Sprintf("left by %d", old); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		files := 0
		for _, f := range proctest.Inspect(t, now).FDs {
			if strings.Contains(f, "upgrade-generation") {
				files++
			}
		}
		if files != 1 {
			t.Errorf("%d files of generations are open", files)
		}
	}
	badName := "is not a name: 1 to 255 printable characters of ASCII without a colon"
	want := []string{
		`upgrade: add file a:b: "a:b" ` + badName,
		"upgrade: add file web: there is a socket of that name",
		"upgrade: add file gone: closed", "upgrade: add file nil: closed",
	}
	for range 4 {
		want = append(want, `upgrade: "tcp:[::]:80" `+badName)
	}
	if got := r.get("/errors"); got != strings.Join(want, "\n")+"\n" {
		t.Errorf("errors:\n%s", got)
	}
}

// untaken opens sockets that the version "without" does not want, and lists what is left.
func untaken(u *upgrade.Upgrader, mux *http.ServeMux, kind string) error {
	left := fmt.Sprint(u.Untaken())
	if kind != "without" {
		dir := os.Getenv("UNIX_DIR")
		_, err1 := u.Listen("tcp", "tcp", "127.0.0.1:0")
		_, err2 := u.Listen("unix", "unix", filepath.Join(dir, "unwanted"))
		_, err3 := u.ListenPacket("udp", "udp", "127.0.0.1:0")
		_, err4 := u.File("pipe", func() (*os.File, error) {
			r, w, err := os.Pipe()
			return r, errors.Join(err, w.Close())
		})
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
	}
	mux.HandleFunc("/left", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, left) })
	mux.HandleFunc("/later", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, u.Untaken())
	})
	return nil
}

// TestUntaken: a process sees what it was handed and has not asked for, and Ready closes it; the
// name of a unix socket goes with it.
func TestUntaken(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	t.Setenv("UNIX_DIR", r.dir)
	path := filepath.Join(r.dir, "unwanted")
	r.start("-extra", "untaken")
	if got := r.get("/left"); got != "[]" {
		t.Errorf("the first was handed %s", got)
	}
	r.next("without")
	r.upgrade()
	want := "[{tcp stream listener tcp 127.0.0.1:0} {unix stream listener unix " + path +
		"} {udp datagram socket udp 127.0.0.1:0} {pipe fifo file }]"
	if got := r.get("/left"); got != want {
		t.Errorf("the second was handed %s", got)
	}
	if got := r.get("/later"); got != "[]" {
		t.Errorf("after Ready %s is left", got)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name of a socket that nobody wants: %v", err)
	}
}
