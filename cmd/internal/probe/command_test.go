//go:build unix

package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

func command(role ...string) (Check, Env) {
	argv, environ := helper(role...)
	return ask(spec.ProbeCmd, spec.Command(argv).String()), Env{Environ: environ}
}

func TestCommand(t *testing.T) {
	c, env := command("exit", "0")
	if err := Once(within(t), c, env); err != nil {
		t.Error(err)
	}
	c, env = command("exit", "3")
	err := Once(within(t), c, env)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 ||
		err.Error() != "exit status 3: the last words" {
		t.Error(err)
	}
}

func TestCommandIsRetried(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready")
	c, env := command("exists", path)
	wantError(t, Once(within(t), c, env), "exit status 1")
	ready := make(chan error, 1)
	go func() { ready <- Wait(within(t), c, env) }()
	write(t, path, "")
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
}

func TestCommandRunsInDir(t *testing.T) {
	c, env := command("exists", "here")
	env.Dir = t.TempDir()
	write(t, filepath.Join(env.Dir, "here"), "")
	if err := Once(within(t), c, env); err != nil {
		t.Error(err)
	}
}

// What can never be executed is said at once, not after the time-out.
func TestCommandThatDoesNotExist(t *testing.T) {
	err := Wait(within(t), ask(spec.ProbeCmd, "probe-test-no-such-program"), Env{})
	if !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	write(t, plain, "")
	err = Wait(within(t), ask(spec.ProbeCmd, plain), Env{})
	if !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// childOf reads the pid that the hanging helper wrote.
func childOf(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// ended waits until the process is gone, or a zombie that its parent has yet to reap.
func ended(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for ; time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d lives", pid)
}

func TestCommandThatHangsIsKilledWithItsGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	c, env := command("hang", path)
	ctx, cancel := context.WithCancel(within(t))
	answered := make(chan error, 1)
	go func() { answered <- Once(ctx, c, env) }()
	if err := Wait(within(t), ask(spec.ProbeFile, path), Env{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-answered; err == nil || err.Error() != "no answer yet" {
		t.Error(err)
	}
	ended(t, childOf(t, path))
}

// A process that the command leaves behind holds its output; the answer counts all the same.
func TestCommandLeavesAProcessBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	c, env := command("hang", path, "leave")
	if err := Once(within(t), c, env); err != nil {
		t.Error(err)
	}
	pid := childOf(t, path)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	ended(t, pid)
}

func TestCommandAsAnotherUser(t *testing.T) {
	c := ask(spec.ProbeCmd, "/bin/sh -c 'test $(id -u) = 65534'")
	env := Env{
		Attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		Dir:  "/",
	}
	err := Once(within(t), c, env)
	if os.Getuid() == 0 && err != nil {
		t.Error(err)
	}
	// An ordinary user may not; setgroups(2) needs the right even for one's own ids.
	if os.Getuid() != 0 && !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if env.Attr.Setpgid {
		t.Error("the caller's attributes were changed")
	}
}

func TestLastLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""}, {"one", "one"}, {"one\n", "one"}, {"one\n\n \n", "one"}, {"one\ntwo", "two"},
		{strings.Repeat("x", 300), strings.Repeat("x", maxLastLine)},
	} {
		for step := 1; step < 4; step++ {
			var l lastLine
			for rest := test.text; rest != ""; {
				n := min(step, len(rest))
				l.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if string(l.text) != test.want {
				t.Errorf("%q by %d: %q", test.text, step, l.text)
			}
		}
	}
}
