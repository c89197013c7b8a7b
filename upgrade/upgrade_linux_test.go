package upgrade_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/pidfile"
)

// TestChain: one version after another, each from the file that is there then, and nothing gathers.
func TestChain(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t)
	first, before := r.pid(), 0
	for i := range 6 {
		old := r.pid()
		r.get(fmt.Sprintf("/note?%d", i))
		r.install()
		pid := r.upgrade()
		if pid == old {
			t.Fatal("the same process serves")
		}
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil ||
			exe != r.program {
			t.Errorf("executes %q, %v", exe, err)
		}
		if old != first {
			proctest.Gone(t, old)
		}
		proctest.Eventually(t, patience, func() error { // some are open for a moment
			state := proctest.Inspect(t, pid)
			if n := len(state.FDs); before != 0 && n > before {
				return fmt.Errorf("%d descriptors after %d: %+v", n, before, state.FDs)
			}
			return nil
		})
		if before == 0 {
			before = len(proctest.Inspect(t, pid).FDs)
		}
	}
	r.firstEnds()
	if got := r.get("/note"); got != "012345<nil>" {
		t.Errorf("the file that went along has %q", got)
	}
	for kv := range strings.SplitSeq(r.get("/environment"), "\n") {
		if strings.HasPrefix(kv, "LISTEN_") || strings.Contains(kv, "UPGRADE") {
			t.Errorf("left in the environment: %s", kv)
		}
	}
	if text := r.printed(); text != "" {
		t.Errorf("printed %q", text)
	}
}

// processes are those that execute the program, stages too.
func (r *running) processes() (pids []int) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, link := range links {
		if exe, err := os.Readlink(link); err != nil ||
			strings.TrimSuffix(exe, " (deleted)") != r.program {
			continue // it is not ours to ask, has ended, or executes something else
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			r.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

// TestSignal: SIGHUP, also many at once, also a failing one.
func TestSignal(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t)
	old := r.pid()
	r.next("crash")
	hangUp(t, old)
	proctest.Eventually(t, patience, func() error {
		if text := r.printed(); !strings.Contains(text, "proctest-server: upgrade to "+r.program) ||
			!strings.Contains(text, "cannot read the configuration") {
			return fmt.Errorf("printed %q", text)
		}
		return nil
	})
	r.next("ok")
	for range 20 {
		hangUp(t, old)
	}
	r.successor(old)
	r.firstEnds()
}

func hangUp(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// TestOneAtATime: a second request is refused while the first is under way, and SIGTERM ends both.
func TestOneAtATime(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t)
	r.next("hang")
	first := make(chan error, 1)
	go func() {
		_, err := r.try("/upgrade")
		first <- err
	}()
	var successors []string
	proctest.Eventually(t, patience, func() error {
		successors = nil
		for _, between := range childrenOf(t, r.pid1) {
			pid, err := strconv.Atoi(between)
			if err != nil {
				return err
			}
			successors = append(successors, childrenOf(t, pid)...)
		}
		if len(successors) == 0 {
			return errors.New("no new process yet")
		}
		return nil
	})
	if _, err := r.try("/upgrade"); err == nil ||
		!strings.Contains(err.Error(), "an upgrade is in progress") {
		t.Errorf("a second one: %v", err)
	}
	if err := syscall.Kill(r.pid1, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Shutdown waits for the request, which waits for the upgrade: that Close would end it comes
	// after. So the new process is what has to go.
	for _, successor := range successors {
		pid, err := strconv.Atoi(successor)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := <-first; err == nil || !strings.Contains(err.Error(), "killed by SIGKILL") {
		t.Errorf("the first: %v", err)
	}
	r.firstEnds()
}

// TestPredecessorKilled: when the old process dies while the new one comes up, the new one takes
// over by itself.
func TestPredecessorKilled(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	file, goOn := filepath.Join(r.dir, "pid"), filepath.Join(r.dir, "go")
	r.start("-pid", file)
	old := r.pid()
	r.next("slow " + goOn)
	hangUp(t, old)
	// The new process says so itself. That there is a child is no sign: at first it is our own
	// image, with all of our descriptors, then a stage, and with its parent it would end
	// (TestPredecessorKilledEarly).
	var child int
	proctest.Eventually(t, patience, func() (err error) {
		b, err := os.ReadFile(goOn + ".waits")
		if err == nil {
			child, err = strconv.Atoi(string(b))
		}
		return err
	})
	proctest.KillAtEnd(t, child)
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.ended
	if f, err := pidfile.Acquire(file, pidfile.Options{}); !errors.Is(err, pidfile.ErrLocked) {
		t.Errorf("the lock was released: %v %v", f, err)
	}
	if err := os.WriteFile(goOn, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := r.pid(); got != child {
		t.Errorf("process %d serves, not %d", got, child)
	}
	proctest.Eventually(t, patience, func() error {
		i, err := pidfile.Find(file)
		if err != nil {
			return err
		}
		defer i.Close()
		if i.State != pidfile.Running || i.PID != child {
			return fmt.Errorf("pid file: %v %d", i.State, i.PID)
		}
		return nil
	})
	r.next("ok")
	r.upgrade()
}

// TestPredecessorKilledEarly: when the old process dies at any moment of the new one's birth,
// either the new one takes over, or it ends and says why. Nothing is left between the two: no
// process, no lock, no port.
func TestPredecessorKilledEarly(t *testing.T) {
	for i := range 12 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			proctest.CheckLeaks(t)
			r := prepare(t)
			file := filepath.Join(r.dir, "pid")
			r.start("-pid", file)
			hangUp(t, r.pid1)
			t.Cleanup(func() {
				for _, pid := range r.processes() { // those of a failure too
					syscall.Kill(pid, syscall.SIGKILL)
				}
			})
			for len(childrenOf(t, r.pid1)) == 0 {
				select {
				case <-r.ended: // while nobody looked, the new one has come up
					return
				default:
				}
			}
			// some microseconds later each time
			for spin := rand.IntN(1 + i*20_000); spin > 0; spin-- {
				runtime.KeepAlive(spin)
			}
			if err := r.first.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			<-r.ended
			serves := 0
			proctest.Eventually(t, patience, func() error {
				left := r.processes()
				if len(left) == 0 { // or one was born while we looked
					if text := r.printed(); !strings.Contains(text,
						"the process that asked for it is gone") {
						return fmt.Errorf("printed %q", text)
					}
					return nil
				}
				i, err := pidfile.Find(file)
				if err != nil {
					return err
				}
				defer i.Close()
				if i.State != pidfile.Running || len(left) > 1 || i.PID != left[0] {
					return fmt.Errorf("processes %v live; pid file: %v %d", left, i.State, i.PID)
				}
				serves = i.PID
				return nil
			})
			if serves != 0 {
				if got := r.pid(); got != serves {
					t.Errorf("process %d serves, not %d", got, serves)
				}
				return
			}
			// A process that ends has no /proc/PID/exe any more a moment before its files are
			// closed (exit_mm, then exit_files).
			proctest.Eventually(t, patience, func() error {
				f, err := pidfile.Acquire(file, pidfile.Options{})
				if err != nil {
					return err
				}
				f.Close()
				l, err := net.Listen("tcp", r.addr)
				if err != nil {
					return err
				}
				return l.Close()
			})
		})
	}
}

// TestWords: what the new process prints before it is ready reaches the old one's standard error,
// in order, and what a child of it prints much later does too.
func TestWords(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t)
	r.next("chatty")
	r.upgrade()
	proctest.Eventually(t, patience, func() error {
		if text := r.printed(); text != "before ready\nafter ready\nfrom a child\n" {
			return fmt.Errorf("printed %q", text)
		}
		return nil
	})
}
