package detach_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/cli"
	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) {
	// The race detector sleeps for a second at the end of every process, and here are thousands.
	if err := os.Setenv("GORACE", proctest.RaceSettings()); err != nil {
		panic(err)
	}
	proctest.Main(m)
}

// daemonry is the command.
var daemonry = proctest.Register("daemonry", func([]string) int {
	return cli.Main(os.Args, os.Stdout, os.Stderr)
})

// result is how a command ended.
type result struct {
	stdout, stderr string
	status         int
}

// finish runs cmd to its end. What it starts must not keep its output open.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// run runs the command.
func run(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, daemonry.Command(t, args...))
}

// detached starts a daemon that must come up, and ends it with the test.
func detached(t *testing.T, args ...string) (pid int) {
	t.Helper()
	r := run(t, append([]string{"detach"}, args...)...)
	if r.status != 0 {
		t.Fatalf("detach %q: %+v", args, r)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(r.stdout))
	if err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, pid)
	return pid
}

// refused starts what must not come up: its exit status, words of its reason, no pid file.
func refused(t *testing.T, status int, words string, args ...string) {
	t.Helper()
	pidFile := filepath.Join(t.TempDir(), "refused.pid")
	r := run(t, append([]string{"detach", "--pidfile", pidFile}, args...)...)
	if r.status != status || !strings.Contains(r.stderr, words) || r.stdout != "" {
		t.Errorf("detach %q: %+v, want status %d and %q", args, r, status, words)
	}
	if first, _, _ := strings.Cut(r.stderr, "\n"); !strings.HasPrefix(first, "daemonry: ") {
		t.Errorf("the first line is %q", first)
	}
	if _, err := os.Lstat(pidFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file is left: %v", err)
	}
}

// readPID reads a pid file.
func readPID(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// mustBeClean wants every step that can be observed to hold. A program that
// has only been executed opens files for its libraries and its language, without
// close-on-exec, and closes them again: hence the patience.
func mustBeClean(t *testing.T, pid int, o check.Options) {
	t.Helper()
	proctest.Eventually(t, time.Minute, func() error {
		report, err := check.Process(pid, o)
		if err != nil {
			return err
		}
		for _, s := range report.Steps {
			if s.Result == check.Fail {
				err = errors.Join(err,
					fmt.Errorf("step %d, %s: %s %q", s.Number, s.Name, s.Evidence, s.Details))
			}
		}
		if n := report.Count(check.Pass); n < 10 {
			err = errors.Join(err, fmt.Errorf("only %d steps pass", n))
		}
		return err
	})
}

func writeFile(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// contains waits until a file contains a text.
func contains(t *testing.T, file, text string) {
	t.Helper()
	proctest.Eventually(t, time.Minute, func() error {
		b, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(b), text) {
			err = fmt.Errorf("%s: no %q in %q", file, text, b)
		}
		return err
	})
}
