//go:build linux

package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// listen opens a receiver; path may be empty for an abstract one.
func listen(t *testing.T, path string) *sys.NotifySocket {
	t.Helper()
	s, err := sys.ListenNotify(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// receive takes one message, whose files the test's end closes.
func receive(t *testing.T, s *sys.NotifySocket) (string, sys.Packet) {
	t.Helper()
	s.File().SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, MaxSize+1)
	pkt, err := s.Receive(buf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pkt.CloseFiles)
	return string(buf[:pkt.N]), pkt
}

func empty(s *sys.NotifySocket) bool {
	s.File().SetReadDeadline(time.Unix(1, 0))
	_, err := s.Receive(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func TestClientSays(t *testing.T) {
	mainPID := fmt.Sprintf("MAINPID=%d", os.Getpid())
	if id, err := sys.PidfdID(os.Getpid()); err == nil {
		mainPID += fmt.Sprintf("\nMAINPIDFDID=%d", id)
	} else if !errors.Is(err, errors.ErrUnsupported) { // before Linux 6.9
		t.Fatal(err)
	}
	for name, socket := range map[string]*sys.NotifySocket{
		"abstract": listen(t, ""),
		"path":     listen(t, filepath.Join(t.TempDir(), "s")),
		"named":    listen(t, fmt.Sprintf("@notify-test-%d", os.Getpid())),
	} {
		c := Client{Socket: socket.Address}
		for _, say := range []struct {
			want string
			call func() (bool, error)
		}{
			{"READY=1", c.Ready},
			{"STOPPING=1", c.Stopping},
			{"WATCHDOG=1", c.Watchdog},
			{"STATUS=loading 3/5", func() (bool, error) { return c.Status("loading 3/5") }},
			{"STATUS=", func() (bool, error) { return c.Status("") }},
			{"EXTEND_TIMEOUT_USEC=1500000",
				func() (bool, error) { return c.ExtendTimeout(1500 * time.Millisecond) }},
			{"FDSTOREREMOVE=1\nFDNAME=db", func() (bool, error) { return c.RemoveFDs("db") }},
			{mainPID, func() (bool, error) { return c.MainPID(os.Getpid()) }},
			{"READY=1\nSTATUS=up",
				func() (bool, error) { return c.Send(Message{Ready: true, Status: new("up")}) }},
		} {
			if sent, err := say.call(); !sent || err != nil {
				t.Fatalf("%s %q: %v %v", name, say.want, sent, err)
			}
			got, pkt := receive(t, socket)
			if got != say.want || len(pkt.Files) != 0 {
				t.Errorf("%s: %q, want %q", name, got, say.want)
			}
			if want := (sys.Sender{
				PID: os.Getpid(),
				UID: os.Getuid(),
				GID: os.Getgid(),
			}); pkt.Sender != want {
				t.Errorf("%s: sender %+v, want %+v", name, pkt.Sender, want)
			}
		}
	}
}

func TestReloadingIsDated(t *testing.T) {
	s := listen(t, "")
	before, err := sys.Monotonic()
	if err != nil {
		t.Fatal(err)
	}
	if err := mustSend(Client{Socket: s.Address}.Reloading()); err != nil {
		t.Fatal(err)
	}
	after, _ := sys.Monotonic()
	text, _ := receive(t, s)
	m, err := Parse([]byte(text))
	if err != nil || !m.Reloading || m.Monotonic < before || m.Monotonic > after+time.Microsecond {
		t.Errorf("%q %v, sent between %v and %v", text, err, before, after)
	}
}

func TestNobodyAsked(t *testing.T) {
	os.Unsetenv("NOTIFY_SOCKET")
	for range 2 {
		if sent, err := (Client{}).Ready(); sent || err != nil {
			t.Errorf("%v %v", sent, err)
		}
		if sent, err := (Client{}).Barrier(t.Context()); sent || err != nil {
			t.Errorf("barrier: %v %v", sent, err)
		}
		t.Setenv("NOTIFY_SOCKET", "")
	}
	if _, err := (Client{}).Status("two\nlines"); err == nil {
		t.Error("a wrong message is found only in production")
	}
}

func TestCannotSend(t *testing.T) {
	dir := t.TempDir()
	listen(t, filepath.Join(dir, "gone")).Close()
	dead := filepath.Join(dir, "dead")
	fd, err := sys.OpenUnixDatagram()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sys.Bind(fd, sys.Address{Unix: dead}), sys.CloseFD(fd)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for socket, want := range map[string]error{
		filepath.Join(dir, "gone"): syscall.ENOENT,
		dead:                       syscall.ECONNREFUSED,
		file:                       syscall.ECONNREFUSED,
		"@nobody-has-this-name":    syscall.ECONNREFUSED,
		"relative":                 nil,
	} {
		t.Setenv("NOTIFY_SOCKET", socket)
		sent, err := Client{}.Ready()
		if sent || err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v %v", socket, sent, err)
		} else if !strings.HasPrefix(err.Error(), "notify ") ||
			!strings.Contains(err.Error(), socket) {
			t.Errorf("%s: the error does not say where: %v", socket, err)
		}
	}
	if _, err := (Client{}).MainPID(1<<31 - 2); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a main process that does not exist: %v", err)
	}
}

func TestFiles(t *testing.T) {
	s := listen(t, "")
	c := Client{Socket: s.Address}
	r, w, err := os.Pipe() // non-blocking
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	many := make([]*os.File, sys.MaxFiles)
	for i := range many {
		many[i] = w
	}
	if err := mustSend(c.StoreFDs("log pipe", many...)); err != nil {
		t.Fatal(err)
	}
	text, pkt := receive(t, s)
	if text != "FDSTORE=1\nFDNAME=log pipe" || len(pkt.Files) != len(many) {
		t.Fatalf("%q with %d files", text, len(pkt.Files))
	}
	for i, fd := range pkt.Files {
		if n, err := syscall.Write(fd, []byte{byte(i)}); n != 1 || err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
	}
	pkt.CloseFiles()
	if err := w.SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Errorf("the sender's file is no longer non-blocking: %v", err)
	}
	got := make([]byte, len(many))
	if _, err := io.ReadFull(r, got); err != nil || got[252] != 252 {
		t.Errorf("%v %v", got, err)
	}

	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for want, err := range map[string]error{
		"at most 253":               second(c.StoreFDs("x", append(many, w)...)),
		"without a file":            second(c.StoreFDs("x")),
		"exactly one":               second(c.Send(Message{Barrier: true})),
		"nothing in it says":        second(c.Send(Message{Ready: true}, w)),
		"not a descriptor name":     second(c.StoreFDs("a:b", w)),
		"use of closed file":        second(c.StoreFDs("x", closed)),
		"invalid argument":          second(c.StoreFDs("x", w, nil)),
		"cannot be sent over vsock": second(Client{Socket: "vsock:2:1"}.StoreFDs("x", w)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if !empty(s) {
		t.Error("a refused message was sent")
	}
}

func second(_ bool, err error) error { return err }

// A receiver that does not read makes senders wait, up to their limit; when it
// reads on, nothing has been lost.
func TestFullQueue(t *testing.T) {
	s := listen(t, "")
	c := Client{Socket: s.Address, Timeout: 20 * time.Millisecond}
	queued := 0
	for {
		sent, err := c.Status(fmt.Sprint(queued))
		if errors.Is(err, os.ErrDeadlineExceeded) && !sent {
			break
		}
		if err != nil || queued > 100_000 {
			t.Fatal(queued, sent, err)
		}
		queued++
	}
	done := make(chan error)
	c.Timeout = 0
	go func() { done <- mustSend(c.Status(fmt.Sprint(queued))) }()
	for i := range queued + 1 {
		if text, _ := receive(t, s); text != fmt.Sprintf("STATUS=%d", i) {
			t.Fatalf("message %d: %q", i, text)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBarrier(t *testing.T) {
	s := listen(t, "")
	c := Client{Socket: s.Address}
	done := make(chan error)
	go func() { done <- mustSend(c.Barrier(t.Context())) }()
	text, pkt := receive(t, s)
	if text != "BARRIER=1" || len(pkt.Files) != 1 {
		t.Fatalf("%q with %d files", text, len(pkt.Files))
	}
	select {
	case err := <-done:
		t.Fatalf("the barrier opened before the receiver closed it: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	pkt.CloseFiles()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	// Who waits may give up, on the answer as on a full queue.
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		sent, err := c.Barrier(ctx)
		done <- errors.Join(err, map[bool]error{true: errors.New("sent")}[sent])
	}()
	_, pkt = receive(t, s)
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if sent, err := c.Barrier(ctx); sent || !errors.Is(err, cause) {
		t.Errorf("a barrier after the end: %v %v", sent, err)
	}
}

// Nothing written into the barrier opens it, and neither does the process's own
// end of the pipe.
func TestBarrierAnswered(t *testing.T) {
	s := listen(t, "")
	done := make(chan error)
	go func() { done <- mustSend(Client{Socket: s.Address}.Barrier(t.Context())) }()
	_, pkt := receive(t, s)
	if _, err := syscall.Write(pkt.Files[0], []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "wrote into it") {
		t.Errorf("%v", err)
	}
}

// The sender is known even when it is dead by the time its message is read.
func TestSenderIsDead(t *testing.T) {
	s := listen(t, "")
	for _, name := range []string{"ready", "environment"} {
		pid := run(t, command(t, name, "NOTIFY_SOCKET="+s.Address))
		text, pkt := receive(t, s)
		if want := (sys.Sender{PID: pid, UID: os.Getuid(), GID: os.Getgid()}); text != "READY=1" ||
			pkt.Sender != want {
			t.Errorf("%s: %q from %+v, want %+v", name, text, pkt.Sender, want)
		}
	}
}

// A set-user-id program names itself, so that a receiver knows it that asks for
// senders only when it reads.
func TestSetUserID(t *testing.T) {
	fd, err := sys.OpenUnixDatagram()
	if err != nil {
		t.Fatal(err)
	}
	defer sys.CloseFD(fd)
	if err := sys.Bind(fd, sys.Address{}); err != nil {
		t.Fatal(err)
	}
	address, err := sys.SocketName(fd)
	if err != nil {
		t.Fatal(err)
	}
	name, want := "set-user-id", sys.Sender{UID: 65534, GID: 65534}
	if os.Geteuid() != 0 {
		// An ordinary user has one id and does not name itself.
		name, want = "ready", sys.Sender{UID: 65534, GID: 65534} // the kernel's overflow ids
	}
	pid := run(t, command(t, name, "NOTIFY_SOCKET="+address))
	if os.Geteuid() == 0 {
		want.PID = pid
	}
	if err := sys.PassCredentials(fd); err != nil {
		t.Fatal(err)
	}
	pkt, err := sys.RecvMsg(fd, make([]byte, MaxSize))
	if err != nil || pkt.Sender != want {
		t.Errorf("%+v %v, want %+v", pkt.Sender, err, want)
	}
}

func TestReadyPipe(t *testing.T) {
	s := listen(t, "")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := sys.DupAbove(int(w.Fd()), 3)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	pipe, err := OpenPipe(fd)
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Socket: s.Address, Pipe: pipe}
	for range 2 { // start-up, then a reload
		if err := mustSend(c.Ready()); err != nil {
			t.Fatal(err)
		}
		if text, _ := receive(t, s); text != "READY=1" {
			t.Errorf("%q", text)
		}
	}
	if got, err := io.ReadAll(r); string(got) != "\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if sent, err := (Client{Pipe: pipe}).Ready(); sent || err != nil {
		t.Errorf("nobody is left to be told: %v %v", sent, err)
	}
}

// A manager that is gone is an error, not a signal.
func TestReadyPipeBroken(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if sent, err := (Client{Pipe: w}).Ready(); sent || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v %v", sent, err)
	}
}

func TestPipeOfHelper(t *testing.T) {
	for _, name := range []string{"stdout", "pipe3"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := command(t, name)
		if name == "stdout" {
			cmd.Stdout = w
		} else {
			cmd.ExtraFiles = []*os.File{w}
		}
		run(t, cmd)
		w.Close()
		if got, err := io.ReadAll(r); !bytes.Equal(got, []byte("\n")) || err != nil {
			t.Errorf("%s: %q %v", name, got, err)
		}
		r.Close()
	}
}

func TestOpenPipeRefuses(t *testing.T) {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, fd := range []int{-1, 1 << 20, int(file.Fd())} {
		pipe, err := OpenPipe(fd)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("notify descriptor %d: ", fd)) {
			t.Errorf("%d: %v %v", fd, pipe, err)
		}
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("a refused descriptor was not left alone: %v", err)
	}
}
