package pidfile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// daemon is a program that knows nothing of us, started with the lock on its pid file.
func daemon(t *testing.T, path string, script string) *exec.Cmd {
	t.Helper()
	f, err := Acquire(path, Options{HandDown: true})
	must(t, err)
	if f.LockFile() == nil {
		t.Fatal("no descriptor to hand down")
	}
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.ExtraFiles = []*os.File{f.LockFile()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	// its children as well
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	if _, err := Acquire(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is being started: %v", err)
	}
	must(t, f.Write(cmd.Process.Pid))
	must(t, f.Close())
	return cmd
}

func wantRefused(t *testing.T, path string, pid int) {
	t.Helper()
	for _, o := range []Options{{}, {HandDown: true}} {
		_, err := Acquire(path, o)
		running, ok := errors.AsType[*RunningError](err)
		if !ok || running.PID != pid {
			t.Errorf("a second start, %+v: %v, want process %d to be running", o, err, pid)
		}
	}
}

// touch(1) destroys the fingerprint; the lock is left.
func TestTouched(t *testing.T) {
	path := newPath(t)
	cmd := daemon(t, path, "sleep 1000; :")
	wantRunning(t, path, cmd.Process.Pid)
	must(t, os.Chtimes(path, time.Now(), time.Now()))
	wantRunning(t, path, cmd.Process.Pid)
	wantRefused(t, path, cmd.Process.Pid)
}

// Whoever may read a file may lock it. That proves nothing for a process that is younger than the
// file, such as one that has been given the number of a dead daemon, until the file is changed by
// who may do that.
func TestLockedByANewcomer(t *testing.T) {
	path := newPath(t)
	must(t, os.WriteFile(path, []byte("1\n"), 0o644))
	time.Sleep(clockSlack + time.Second) // the kernel alone sets the time of a change
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	cmd := exec.Command("sleep", "1000")
	cmd.ExtraFiles = []*os.File{file}
	must(t, sys.TryFlock(file))
	must(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if !sys.HoldsLock(cmd.Process.Pid, file) {
		t.Error("it does not have the lock")
	}
	if heldSince(cmd.Process.Pid, file) {
		t.Error("the lock of a newcomer counts")
	}
	must(t, os.Chtimes(path, time.Now(), time.Now()))
	if !heldSince(cmd.Process.Pid, file) {
		t.Error("the lock does not count after touch")
	}
}

// A cleaner takes the file while its process lives: a second start is refused, and puts it back.
func TestTakenAway(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, path string) int{
		"handed down": func(t *testing.T, path string) int {
			return daemon(t, path, "sleep 1000; :").Process.Pid
		},
		"held": func(t *testing.T, path string) int {
			p := start(t, "hold", []string{path})
			p.line(t)
			return p.Process.Pid
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			pid := begin(t, path)
			must(t, os.Remove(path))
			if i := found(t, path); i.State != Running || i.PID != pid {
				t.Errorf("found %v %d (%v)", i.State, i.PID, i.Why)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Find has changed something: %v", err)
			}
			wantRefused(t, path, pid)
			if got := content(t, path); got != strconv.Itoa(pid)+"\n" {
				t.Errorf("content %q, want %d", got, pid)
			}
			wantRunning(t, path, pid)
			must(t, syscall.Kill(pid, syscall.SIGKILL))
		})
	}
}

// Whoever removes his own file is not found by it any more, and one that was put back is removed as
// well.
func TestRemovedByItsHolder(t *testing.T) {
	path := newPath(t)
	f := acquired(t, path)
	must(t, f.Write(os.Getpid()))
	must(t, os.Remove(path))
	must(t, os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644))
	other, err := Acquire(path, Options{}) // writes the fingerprint, as another process would
	must(t, err)
	must(t, other.Write(os.Getpid()))
	must(t, f.Remove())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that was put back: %v", err)
	}
	must(t, other.Close())
}

// What a dead process has left behind has its lock, and keeps nobody from starting.
func TestLeftBehindWithTheLock(t *testing.T) {
	path := newPath(t)
	cmd := daemon(t, path, "sleep 1000 & echo $! >"+path+".child; exec sleep 1000")
	child := 0
	for child == 0 {
		b, err := os.ReadFile(path + ".child")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		child, _ = strconv.Atoi(strings.TrimSpace(string(b))) // not written yet
		time.Sleep(time.Millisecond)
	}
	defer func() { _ = syscall.Kill(child, syscall.SIGKILL) }()
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // the error says that it was killed
	wantState(t, path, Dead, "is gone")
	f, err := Acquire(path, Options{HandDown: true})
	must(t, err)
	must(t, f.Write(os.Getpid()))
	must(t, f.Remove())
	must(t, f.Close())
}

// A program that was started with the lock may itself take the file over.
func TestBornWithTheLock(t *testing.T) {
	path := newPath(t)
	f, err := Acquire(path, Options{HandDown: true})
	must(t, err)
	p := start(t, "await", []string{path},
		func(c *exec.Cmd) { c.ExtraFiles = []*os.File{f.LockFile()} })
	must(t, f.Write(p.Process.Pid))
	must(t, f.Close())
	if got := p.line(t); got != "held" {
		t.Errorf("%s", got)
	}
	wantRefused(t, path, p.Process.Pid)
	p.kill()
}
