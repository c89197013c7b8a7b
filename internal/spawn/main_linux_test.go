package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", proctest.RaceSettings()); err != nil {
		panic(err)
	}
	proctest.Main(m)
}

// way is one of the ways in which a process is born. Each must give the same process.
type way struct {
	name  string
	start func(t *testing.T, s *Spec) (*living, error)
}

// living is a started process, whichever way it was started.
type living struct {
	pid  int
	wait func(t *testing.T) Exit
}

// ways returns all of them.
func ways() []way {
	return []way{
		{"Start by thread", func(t *testing.T, s *Spec) (*living, error) {
			if err := s.check(); err != nil {
				return nil, err
			}
			d := s.describe()
			pid, err := startFromThread(context.Background(), &d)
			return child(t, pid), err
		}},
		{"Start by stage", func(t *testing.T, s *Spec) (*living, error) {
			if err := s.check(); err != nil {
				return nil, err
			}
			d := s.describe()
			pid, err := startStage(context.Background(), &d)
			return child(t, pid), err
		}},
		{"Detach", detached},
		{"Detach by nested stage", func(t *testing.T, s *Spec) (*living, error) {
			nested := *s
			nested.Rlimits = append([]Rlimit{coreLimit(t)}, s.Rlimits...)
			return detached(t, &nested)
		}},
	}
}

// coreLimit is a limit that changes nothing.
func coreLimit(t *testing.T) Rlimit {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l); err != nil {
		t.Fatal(err)
	}
	return Rlimit{
		Name:     "core",
		Resource: syscall.RLIMIT_CORE,
		Limit:    sys.Rlimit{Soft: l.Cur, Hard: l.Max},
	}
}

func child(t *testing.T, pid int) *living {
	if pid == 0 {
		return nil
	}
	reaped := false
	wait := func(t *testing.T) Exit {
		t.Helper()
		var status syscall.WaitStatus
		for {
			_, err := syscall.Wait4(pid, &status, 0, nil)
			if err == nil {
				reaped = true
				return ExitOf(status)
			}
			if err != syscall.EINTR {
				t.Fatalf("wait for %d: %v", pid, err)
			}
		}
	}
	t.Cleanup(func() {
		if !reaped {
			_ = syscall.Kill(pid, syscall.SIGKILL) // our child, not reaped: it is nobody else
			wait(t)
		}
	})
	return &living{pid, wait}
}

func detached(t *testing.T, s *Spec) (*living, error) {
	l, err := Detach(context.Background(), s)
	if err != nil {
		return nil, err
	}
	over := false
	wait := func(t *testing.T) Exit {
		t.Helper()
		over = true
		defer l.close()
		exit := Exit{Code: -1}
		for e := range l.Events {
			switch {
			case e.Exit != nil:
				exit = *e.Exit
			case e.Lost != nil:
				t.Errorf("lost: %v", e.Lost)
			}
		}
		return exit
	}
	t.Cleanup(func() {
		if !over {
			if err := l.Kill(0); err != nil {
				t.Error(err)
			}
		}
	})
	return &living{l.PID, wait}, nil
}

// eachWay runs body for each way a process is born.
func eachWay(t *testing.T, body func(t *testing.T, w way)) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			body(t, w)
		})
	}
}

// start starts s or ends the test.
func (w way) mustStart(t *testing.T, s *Spec) *living {
	t.Helper()
	l, err := w.start(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// shell is a Spec that executes a script.
func shell(script string, args ...string) *Spec {
	return &Spec{
		Path: "/bin/sh",
		Args: append([]string{"sh", "-c", script, "sh"}, args...),
		Env:  []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		Dir:  "/",
	}
}

// sleep is a Spec of a process that does nothing and inherits all.
func sleep() *Spec { return &Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Dir: "/"} }

// output runs s to its end and returns what it printed.
func (w way) output(t *testing.T, s *Spec) (string, Exit) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "output")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.Files = append(s.Files, File{1, f}, File{2, f})
	exit := w.mustStart(t, s).wait(t)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), exit
}

// isExecuting waits until the process has become its program: a fork returns before that.
func isExecuting(t *testing.T, pid int, program string) {
	t.Helper()
	proctest.Eventually(t, time.Minute, func() error {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err == nil && filepath.Base(exe) != program {
			err = fmt.Errorf("process %d executes %s", pid, exe)
		}
		if err != nil {
			return err
		}
		// The link is there a moment before the arguments are (begin_new_exec, create_elf_tables in
		// the kernel).
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && len(args) == 0 {
			err = fmt.Errorf("process %d has no arguments yet", pid)
		}
		return err
	})
}

// wantStep wants err to be a StepError of one line with that step, and its text to contain words.
func wantStep(t *testing.T, err error, step Step, words string) {
	t.Helper()
	var se *StepError
	if !errors.As(err, &se) {
		t.Fatalf("error %v (%T), want a StepError", err, err)
	}
	if se.Step != step || !strings.Contains(err.Error(), words) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q of step %d, want step %d and %q in one line", err, se.Step, step, words)
	}
}
