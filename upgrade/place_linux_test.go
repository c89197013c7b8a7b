package upgrade_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/pidfile"
)

// TestPIDFile: at every moment the file names a process that lives, and its lock is never to be
// had.
func TestPIDFile(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	file := filepath.Join(r.dir, "pid")
	r.start("-pid", file)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if f, err := pidfile.Acquire(file, pidfile.Options{}); err == nil {
				t.Error("the lock was to be had")
				f.Close()
				return
			}
			// Between two steps of a write it is empty, or without its proof.
			proctest.Eventually(t, patience, func() error {
				i, err := pidfile.Find(file)
				if err != nil {
					return err
				}
				defer i.Close()
				if i.State != pidfile.Running {
					return i.Why
				}
				return nil
			})
		}
	}()
	var last int
	for range 5 {
		last = r.upgrade()
	}
	close(stop)
	<-done
	if i, err := pidfile.Find(file); err != nil || i.PID != last || i.State != pidfile.Running {
		t.Errorf("%+v %v, want %d", i, err, last)
	} else {
		i.Close()
	}
	if err := syscall.Kill(last, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, last)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file at the end: %v", err)
	}
}

// TestDetached: a daemon of package daemonry stays one, with its pid file and log, and the end
// removes the file.
func TestDetached(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	file, log := filepath.Join(r.dir, "pid"), filepath.Join(r.dir, "log")
	out, err := exec.Command(r.program, "-addr", r.addr, "-kind", r.kind, "-detach", file, "-log",
		log).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.killAtEnd()
	for range 3 {
		old := r.pid()
		pid := r.upgrade()
		if pid == old {
			t.Fatal("the same process serves")
		}
		report, err := check.Process(pid, check.Options{PIDFile: file})
		if err != nil || report.Failed() {
			t.Errorf("%+v, %v", report, err)
		}
	}
	last := r.pid()
	r.next("fail")
	if _, err := r.try("/upgrade"); err == nil ||
		!strings.Contains(err.Error(), "the new program: the database is of another kind") {
		t.Errorf("%v", err)
	}
	if i, err := pidfile.Find(file); err != nil || i.PID != last || i.State != pidfile.Running {
		t.Errorf("after a failure: %+v %v, want %d", i, err, last)
	} else {
		i.Close()
	}
	r.next("chatty")
	last = r.upgrade()
	proctest.Eventually(t, patience, func() error {
		if b, err := os.ReadFile(log); !strings.HasSuffix(string(b),
			"before ready\nafter ready\nfrom a child\n") {
			return fmt.Errorf("log %q %v", b, err)
		}
		return nil
	})
	if err := syscall.Kill(last, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, last)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file at the end: %v", err)
	}
}

// TestManager: what a manager is told, by whom and in which order, in a good upgrade and in a
// failed one.
func TestManager(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	socket, err := sys.ListenNotify(filepath.Join(r.dir, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	said := make(chan string, 100)
	go func() {
		defer close(said)
		buf := make([]byte, 4096)
		for {
			pkt, err := socket.Receive(buf)
			if err != nil {
				return
			}
			m, err := notify.Parse(buf[:pkt.N])
			if err != nil {
				t.Errorf("%q: %v", buf[:pkt.N], err)
			}
			pkt.CloseFiles()
			text := strings.ReplaceAll(strings.TrimSpace(string(buf[:pkt.N])), "\n", " ")
			if m.Reloading && m.Monotonic == 0 {
				t.Errorf("RELOADING=1 without MONOTONIC_USEC: %q", text)
			}
			if m.Barrier {
				continue
			}
			said <- fmt.Sprintf("%d: %s", pkt.Sender.PID, text)
		}
	}()
	hear := func(format string, args ...any) {
		t.Helper()
		want := fmt.Sprintf(format, args...)
		select {
		case got := <-said:
			if !strings.HasPrefix(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Errorf("heard nothing, want %q", want)
		}
	}
	r.start("-store")
	first := r.pid()
	hear("%d: FDSTORE=1 FDNAME=web", first)
	hear("%d: FDSTORE=1 FDNAME=state", first)
	hear("%d: READY=1", first)
	second := r.upgrade()
	hear("%d: RELOADING=1 MONOTONIC_USEC=", first)
	named := ""
	if _, err := sys.PidfdID(os.Getpid()); err == nil { // Linux 6.9
		named = " MAINPIDFDID="
	}
	hear("%d: READY=1 MAINPID=%d"+named, first, second)
	env := r.get("/environment")
	if !strings.Contains(env+"\n", fmt.Sprintf("WATCHDOG_PID=%d\n", second)) {
		t.Errorf("the watchdog's process is not %d: %s", second, env)
	}
	r.next("crash")
	if _, err := r.try("/upgrade"); err == nil {
		t.Error("no error")
	}
	hear("%d: RELOADING=1 MONOTONIC_USEC=", second)
	hear("%d: READY=1 STATUS=upgrade failed: process", second)
	if err := syscall.Kill(second, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("%d: STOPPING=1", second)
	r.firstEnds()
	proctest.Gone(t, second)
	socket.Close()
	for text := range said {
		t.Errorf("heard too: %s", text)
	}
}

// TestUnixSocket: the name of a unix socket leads to who serves, and is gone when nobody does.
func TestUnixSocket(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	r.network, r.addr = "unix", filepath.Join(r.dir, "socket")
	r.start()
	for range 3 {
		r.upgrade()
	}
	last := r.pid()
	r.next("fail")
	if _, err := r.try("/upgrade"); err == nil {
		t.Error("no error")
	}
	if err := syscall.Kill(r.pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, last)
	if _, err := os.Stat(r.addr); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name at the end: %v", err)
	}
}

// TestAnotherAddress: a new version may listen elsewhere, and may listen no more; nothing is left
// open.
func TestAnotherAddress(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	other, elsewhere := filepath.Join(r.dir, "other"), freeAddress(t)
	r.start("-other", other)
	c, err := net.Dial("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	r.next("without")
	r.upgrade()
	if c, err := net.Dial("unix", other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a socket nobody asked for: %v %v", c, err)
	}
	r.next("address " + elsewhere)
	old, was := r.pid(), r.addr
	r.get("/upgrade")
	r.addr = elsewhere
	r.successor(old)
	if c, err := net.Dial("tcp", was); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the old address: %v %v", c, err)
	}
}
