package pidfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

func TestKilledHolderCanBeReplacedAtOnce(t *testing.T) {
	path := newPath(t)
	for range 20 {
		p := start(t, "hold", []string{path})
		p.line(t)
		wantState(t, path, Running, "")
		wantRunning(t, path, p.Process.Pid)
		p.kill()
		f := acquired(t, path)
		must(t, f.Close())
	}
}

// Killed, but not yet reaped by a parent that does not care: it holds no
// descriptor any more, and a zombie is not a running daemon.
func TestUnreapedHolderIsDead(t *testing.T) {
	path := newPath(t)
	p := start(t, "hold", []string{path})
	p.line(t)
	i := wantState(t, path, Running, "")
	must(t, i.Signal(syscall.SIGKILL))
	must(t, i.Wait(t.Context()))
	wantState(t, path, Dead, "gone")
	acquired(t, path)
}

func TestChildOfHolderDoesNotKeepTheLock(t *testing.T) {
	path := newPath(t)
	p := start(t, "hold", []string{path, "with child"})
	child := p.pid(t)
	p.line(t)
	p.kill()
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child is to outlive its parent: %v", err)
	}
	wantState(t, path, Dead, "gone")
	acquired(t, path)
}

// The launcher locks, the daemon adopts: the lock is never free in between, and
// the launcher's Close does not release it.
func TestLockIsHandedDown(t *testing.T) {
	path := newPath(t)
	f := acquired(t, path)
	p := start(t, "adopt", []string{path},
		func(c *exec.Cmd) { c.ExtraFiles = []*os.File{f.File()} })
	must(t, f.Close())
	if _, err := Acquire(path, Options{}); err == nil {
		t.Error("the lock was free on the way")
	}
	if got := p.line(t); got != "write: <nil>" {
		t.Errorf("the daemon's Write: %s", got)
	}
	child := p.pid(t)
	wantRunning(t, path, p.Process.Pid)
	p.kill()
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child is to outlive the daemon: %v", err)
	}
	acquired(t, path)
}

func TestAdoptRefuses(t *testing.T) {
	path := newPath(t)
	f := acquired(t, path)
	other := newPath(t)
	must(t, os.WriteFile(other, nil, 0o644))
	open := func(path string) *os.File {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		return file
	}
	for name, c := range map[string]struct {
		file *os.File
		path string
		want error
	}{
		"locked by another": {open(path), path, sys.ErrLocked},
		"another path":      {open(other), path, ErrReplaced},
		"missing path":      {open(other), other + ".none", ErrReplaced},
	} {
		if a, err := Adopt(c.file, c.path); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, a, err, c.want)
		}
		if err := c.file.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: the descriptor was left open", name)
		}
	}
	wantState(t, path, Starting, "")
	must(t, f.Close())
}

func TestProgramsThatLockWithFcntl(t *testing.T) {
	path := newPath(t)
	must(t, os.WriteFile(path, nil, 0o644))
	p := start(t, "fcntl", []string{path})
	p.line(t)
	wantState(t, path, Starting, "")
	if _, err := Acquire(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("Acquire: %v, want ErrLocked", err)
	}
	p.kill()
	acquired(t, path)
}

// A program started by detach may use this package for the same file, and one
// that executes itself anew loses its lock: neither is its own rival.
func TestTheOneRecordedMayAcquire(t *testing.T) {
	path := newPath(t)
	recorded(t, path, os.Getpid())
	f := acquired(t, path)
	wantState(t, path, Running, "")
	must(t, f.Remove())
	wantState(t, path, Absent, "")
}

// Scripts ask with flock(1), and BSD daemons lock so.
func TestProgramsThatLockWithFlock(t *testing.T) {
	path := newPath(t)
	f := acquired(t, path)
	other, err := os.Open(path)
	must(t, err)
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()),
		syscall.LOCK_SH|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Errorf("flock of a held file: %v, want EWOULDBLOCK", err)
	}
	must(t, f.Close())
	must(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	if _, err := Acquire(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("Acquire of a file locked with flock: %v, want ErrLocked", err)
	}
}

// Ten thousand attempts, 50 processes with 200 at once each, over every kind of
// file that can be there: one gets it, and if a process is recorded, none.
func TestStorm(t *testing.T) {
	p := start(t, "sleep", nil)
	p.line(t)
	for name, c := range map[string]struct {
		prepare func(path string)
		want    int
	}{
		"no file": {func(string) {}, 1},
		"stale": {func(path string) { must(t, os.WriteFile(path, []byte("1\n"), 0o644)) },
			1},
		"foreign program": {func(path string) { recorded(t, path, p.Process.Pid) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := memPath(t)
			c.prepare(path)
			var got int
			var ps []*process
			for range 50 {
				ps = append(ps, start(t, "storm", []string{path, "200"}))
			}
			holder := 0
			for _, p := range ps {
				n, err := strconv.Atoi(p.line(t))
				must(t, err)
				if got += n; n > 0 {
					holder = p.Process.Pid
				}
			}
			if got != c.want {
				t.Errorf("%d of 10,000 got the file, want %d", got, c.want)
			}
			if holder != 0 {
				wantRunning(t, path, holder)
			}
			for _, p := range ps {
				p.in.Close() // of all first: a process built with -race takes a second to exit
			}
			for _, p := range ps {
				if err := p.Wait(); err != nil {
					p.lines.Scan()
					t.Errorf("%v %s", err, p.lines.Text())
				}
			}
		})
	}
}

// Holders that come and go and remove their file: never two at a time, though
// each locks a file that another may just have unlinked.
func TestComingAndGoing(t *testing.T) {
	path := memPath(t)
	var inside, total atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				f, err := Acquire(path, Options{})
				var running *RunningError
				if errors.Is(err, ErrLocked) || errors.As(err, &running) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d holders at once", n)
				}
				err = f.Write(os.Getpid())
				total.Add(1)
				for range 20 {
					runtime.Gosched() // let the others meet us inside
				}
				inside.Add(-1)
				if err := errors.Join(err, f.Remove(), f.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if total.Load() == 0 {
		t.Error("nobody ever got it")
	}
	t.Logf("%d of 1600 attempts", total.Load())
}

func TestErrorsAreOneLine(t *testing.T) {
	path := newPath(t)
	missing := path + ".d/sub/app.pid"
	for _, c := range []struct{ path, says string }{
		{missing, fmt.Sprintf("pid file %s: open %s: %s.d: no such file or directory",
			missing, missing, path)},
		{t.TempDir(), "is a directory"},
		{"", "no such file"},
		{"/dev/null", "not a regular file but a device"},
	} {
		_, err := Acquire(c.path, Options{})
		if err == nil || !strings.Contains(err.Error(), c.says) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", c.path, err, c.says)
		}
	}
}
