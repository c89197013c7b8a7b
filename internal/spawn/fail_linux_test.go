package spawn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// TestEveryStepFails makes each step fail once, each way: the error names the
// step and the errno, and proctest.CheckLeaks says that nothing is left.
func TestEveryStepFails(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		for step := StepStart; step < numSteps; step++ {
			if (step == StepStart || step == StepReceive) && w.name == "Start by thread" {
				continue // a thread has neither
			}
			s := sleep()
			s.FailAt = step
			l, err := w.start(t, s)
			if l != nil {
				t.Errorf("%v: process %d runs", step, l.pid)
			}
			wantStep(t, err, step, step.String())
			if !errors.Is(err, injected) {
				t.Errorf("%v: %v does not wrap %v", step, err, injected)
			}
		}
	})
}

// TestFailureBesideDescriptors: what is passed takes all numbers up to 11, the one of the channel
// to the stage among them. Failures are told on the channel all the same, and not to the file that
// has its number now.
func TestFailureBesideDescriptors(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		ours, theirs, err := sys.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		file := os.NewFile(uintptr(theirs), "socket pair")
		defer file.Close()
		failing := sleep()
		for fd := range 12 {
			failing.Files = append(failing.Files, File{fd, file})
		}
		for step := StepDescriptors; step < numSteps; step++ {
			s := *failing
			s.FailAt = step
			_, err := w.start(t, &s)
			wantStep(t, err, step, step.String())
		}
		failing.Path = "/no/such/program"
		_, err = w.start(t, failing)
		wantStep(t, err, StepExec, "execute /no/such/program: no such file or directory")
		var said [64]byte
		if n, err := ours.Peek(said[:]); n > 0 || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("to the file was said %q, %v", said[:n], err)
		}
	})
}

// TestRealFailures has the kernel refuse, where it can be brought to.
func TestRealFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := write("text", "words\n", 0o644)
	empty := write("empty", "", 0o755)
	garbage := write("garbage", "\x7fELF and no more\x00\x01", 0o755)
	dos := write("dos", "#!/bin/sh\r\necho\r\n", 0o755)
	tabs := write("tabs", "#! \t/no/such/tabs\t-x\necho\n", 0o755)
	script := write("script", "#!/no/such/interpreter -x\necho\n", 0o755)
	for _, c := range []struct {
		name  string
		spec  Spec
		step  Step
		errno error
		words string
	}{
		{"no file", Spec{Path: "/no/such/program"}, StepExec, syscall.ENOENT,
			"execute /no/such/program: no such file or directory"},
		{"no directory in the path", Spec{Path: text + "/program"}, StepExec, syscall.ENOTDIR,
			"not a directory"},
		{"not executable", Spec{Path: text}, StepExec, syscall.EACCES, "permission denied"},
		{"a directory", Spec{Path: dir}, StepExec, syscall.EACCES, "permission denied"},
		{"an empty file", Spec{Path: empty}, StepExec, syscall.ENOEXEC, "exec format error"},
		{"rubbish", Spec{Path: garbage}, StepExec, syscall.ENOEXEC, "exec format error"},
		{"bad interpreter", Spec{Path: script}, StepExec, nil,
			`bad interpreter "/no/such/interpreter"`},
		{"lines of DOS", Spec{Path: dos}, StepExec, nil, `bad interpreter "/bin/sh\r"`},
		{"tabs", Spec{Path: tabs}, StepExec, nil, `bad interpreter "/no/such/tabs"`},
		{"relative to Dir", Spec{Path: "./nothing", Dir: dir}, StepExec, syscall.ENOENT,
			"execute ./nothing"},
		{
			"arguments too long",
			Spec{Path: "/bin/true", Env: []string{"X=" + strings.Repeat("x", 1<<20)}}, StepExec,
			syscall.E2BIG, "argument list too long",
		},
		{"no working directory", Spec{Path: "/bin/true", Dir: "/nowhere"}, StepDirectory,
			syscall.ENOENT, "change directory to /nowhere: no such file or directory"},
		{"a file as working directory", Spec{Path: "/bin/true", Dir: text}, StepDirectory,
			syscall.ENOTDIR, "not a directory"},
		{"no root directory", Spec{Path: "/bin/true", Chroot: "/nowhere"}, StepChroot, nil,
			"change root to /nowhere: "},
		{"no control group", Spec{Path: "/bin/true", Cgroup: "/nowhere"}, StepCgroup,
			syscall.ENOENT, "join control group /nowhere: no such file"},
		{"no such limit", Spec{Path: "/bin/true", Rlimits: []Rlimit{{"rubbish", 99, sys.Rlimit{}}}},
			StepLimits, syscall.EINVAL, "set limit rubbish: invalid argument"},
		{"soft above hard",
			Spec{
				Path:    "/bin/true",
				Rlimits: []Rlimit{{"core", syscall.RLIMIT_CORE, sys.Rlimit{Soft: 2, Hard: 1}}},
			}, StepLimits, syscall.EINVAL, "set limit core: invalid argument"},
		{"oom score", Spec{Path: "/bin/true", OOMScoreAdj: new(2000)}, StepOOMScore, syscall.EINVAL,
			"set oom score 2000: invalid argument"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				s := c.spec
				s.Args = []string{"x"}
				l, err := w.start(t, &s)
				if l != nil {
					t.Fatalf("process %d runs", l.pid)
				}
				wantStep(t, err, c.step, c.words)
				if c.errno != nil && !errors.Is(err, c.errno) {
					t.Errorf("%v is not %v", err, c.errno)
				}
			})
		})
	}
}

// TestFailuresOfAnOrdinaryUser is what root is not refused.
func TestFailuresOfAnOrdinaryUser(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		closed := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(closed, 0o000); err != nil {
			t.Fatal(err)
		}
		caps := sys.CapSet(1 << 10)
		for _, c := range []struct {
			name  string
			spec  Spec
			step  Step
			words string
		}{
			{"user", Spec{Credential: &sys.Credential{UID: 1, GID: 1}}, StepUser,
				"set user 1:1: operation not permitted"},
			{"nice", Spec{Nice: new(-5)}, StepNice, "set nice value -5: permission denied"},
			{"oom score", Spec{OOMScoreAdj: new(-500)}, StepOOMScore,
				"set oom score -500: permission denied"},
			{"limit",
				Spec{Rlimits: []Rlimit{
					{"nofile", syscall.RLIMIT_NOFILE, sys.Rlimit{Soft: 1 << 30, Hard: 1 << 30}},
				}}, StepLimits, "set limit nofile: operation not permitted"},
			{"root directory", Spec{Chroot: "/"}, StepChroot,
				"change root to /: operation not permitted"},
			{"capabilities", Spec{Caps: &caps}, StepBounding,
				"drop capabilities: operation not permitted"},
			{"working directory", Spec{Dir: closed}, StepDirectory, "permission denied"},
		} {
			t.Run(c.name, func(t *testing.T) {
				eachWay(t, func(t *testing.T, w way) {
					s := c.spec
					s.Path, s.Args = "/bin/true", []string{"true"}
					_, err := w.start(t, &s)
					wantStep(t, err, c.step, c.words)
				})
			})
		}
	})
}

// TestUnacceptableSpecs are refused before anything is started.
func TestUnacceptableSpecs(t *testing.T) {
	proctest.CheckLeaks(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	args := []string{"x"}
	for _, c := range []struct {
		spec  Spec
		words string
	}{
		{Spec{Args: args}, "no program"},
		{Spec{Path: "/bin/true"}, "empty argument vector"},
		{Spec{Path: "/bin/true", Args: []string{"a\x00b"}}, "NUL"},
		{Spec{Path: "/bin/true", Args: args, Env: []string{"A=\x00"}}, "NUL"},
		{Spec{Path: "/bin/true", Args: args, Dir: "\x00"}, "NUL"},
		{Spec{Path: "/bin/true", Args: args, Files: []File{{-1, null}}}, "not between"},
		{Spec{Path: "/bin/true", Args: args, Files: []File{{maxFD + 1, null}}}, "not between"},
		{Spec{Path: "/bin/true", Args: args, Files: []File{{3, null}, {3, null}}}, "given twice"},
		{Spec{Path: "/bin/true", Args: args, Files: []File{{3, nil}}}, "no source"},
		{Spec{Path: "/bin/true", Args: args, Files: make([]File, maxFiles+1)}, "more than"},
		{Spec{Path: "/bin/true", Args: args, ListenNames: []string{"web"}}, "no descriptor 3"},
		{
			Spec{Path: "/bin/true", Args: args, Files: []File{{3, null}},
				ListenNames: []string{"a:b"}},
			"colon",
		},
		{Spec{Path: "/bin/true", Args: args, Files: []File{{0, null}}, Birth: new(Birth)},
			"descriptor 0"},
		{Spec{Path: "/bin/true", Args: args, Files: []File{{3, null}, {4, closed}}},
			"the source of descriptor 4 is closed"},
		{Spec{Path: "/bin/true", Args: args, RawFiles: []RawFile{{3, maxFD}}},
			"the source of descriptor 3 is closed"},
		{Spec{Path: "/bin/true", Args: args, Hold: closed}, "the file to hold is closed"},
		{Spec{Path: "/bin/true", Args: args, Into: closed}, "control group is closed"},
		{Spec{Path: "/bin/true", Args: args, Birth: &Birth{Files: []*os.File{null, nil}}},
			"Birth.Files[1] is nil"},
		{Spec{Path: "/bin/true", Args: args, Birth: &Birth{Files: []*os.File{null, closed}}},
			"Birth.Files[1] is closed"},
	} {
		_, err := Start(context.Background(), &c.spec)
		wantStep(t, err, StepStart, c.words)
		_, err = Detach(context.Background(), &c.spec)
		wantStep(t, err, StepStart, c.words)
	}
	_, err = Start(context.Background(), &Spec{Path: "/bin/true", Args: args, Birth: new(Birth)})
	wantStep(t, err, StepStart, "watcher")
}
