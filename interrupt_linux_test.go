package daemonry_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/pidfile"
)

// TestLauncherEndsAtAnyMoment sends the launcher a signal at moments spread over the launch, one
// after the other on one pid file: of a daemon that comes up, one that fails, and one that is
// waited for. Either it is up afterwards, and in its pid file, or nothing is left of it, and the
// file names nobody and keeps nobody out.
func TestLauncherEndsAtAnyMoment(t *testing.T) {
	for _, c := range []struct {
		sig     syscall.Signal
		do      string
		moments int
	}{
		{syscall.SIGKILL, "serve", 24},
		{syscall.SIGKILL, "exit:7", 12},
		{syscall.SIGKILL, "hang", 8},
		{syscall.SIGINT, "hang", 4},
		{syscall.SIGTERM, "hang", 4},
		{syscall.SIGHUP, "hang", 4},
	} {
		t.Run(c.sig.String()+"/"+c.do, func(t *testing.T) {
			proctest.CheckLeaks(t)
			l := interrupted{dir: t.TempDir(), do: c.do}
			measured := l
			if c.do == "hang" {
				measured.do = "serve"
			}
			for _, after := range proctest.Moments(t, c.moments, func() *exec.Cmd {
				return measured.command(t)
			}, func() { l.endDaemon(t, 0) }) {
				l.interrupt(t, after, c.sig)
			}
			l.do = "serve"
			if pid, _, stderr, _ := run(t, l.command(t)); pid == 0 {
				t.Errorf("the next launch: %s", stderr)
			}
		})
	}
}

// interrupted are launches on one pid file.
type interrupted struct{ dir, do string }

func (l interrupted) file(name string) string { return filepath.Join(l.dir, name) }

func (l interrupted) command(t *testing.T) *exec.Cmd {
	cmd := app.Command(t, "do="+l.do, "pid="+l.file("pid"), "log="+l.file("log"))
	cmd.Env = append(os.Environ(), "GORACE="+proctest.RaceSettings())
	return cmd
}

func (l interrupted) interrupt(t *testing.T, after time.Duration, sig syscall.Signal) {
	t.Helper()
	if err := os.RemoveAll(l.file("log")); err != nil {
		t.Fatal(err)
	}
	cmd := l.command(t)
	var errs strings.Builder
	cmd.Stderr = &errs
	end, left := proctest.Interrupt(t, cmd, after, sig)
	if end.Exited() && end.ExitCode() != 0 && l.do != "exit:7" ||
		strings.Contains(errs.String(), "running already") ||
		strings.Contains(errs.String(), "locked by") {
		t.Errorf("after %v: %v: %s", after, end, errs.String())
	}
	if len(left) == 0 {
		if b, err := os.ReadFile(l.file("pid")); len(b) > 0 ||
			err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %v: the pid file says %q, %v", after, b, err)
		}
		return
	}
	l.endDaemon(t, left[0])
	b, err := os.ReadFile(l.file("log"))
	if len(left) > 1 || !strings.Contains(string(b), "after ready") {
		t.Errorf("after %v: processes %v, which say %q, %v", after, left, b, err)
	}
}

// endDaemon ends the daemon that the pid file names, which must be this one, if that is not 0.
func (l interrupted) endDaemon(t *testing.T, pid int) {
	t.Helper()
	i, err := pidfile.Find(l.file("pid"))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if pid != 0 && i.PID != pid {
		t.Errorf("the pid file says %v %d, and the daemon is %d", i.State, i.PID, pid)
		proctest.KillAtEnd(t, pid)
	}
	if i.State != pidfile.Running {
		return
	}
	if err := errors.Join(i.Signal(syscall.SIGKILL), i.Wait(t.Context())); err != nil {
		t.Errorf("end the daemon: %v", err)
	}
	if err := os.Remove(l.file("pid")); err != nil {
		t.Error(err)
	}
}

// TestConcurrentLaunches: of 200 launches on one pid file one is there in the end, and all others
// have been told so.
func TestConcurrentLaunches(t *testing.T) {
	proctest.CheckLeaks(t)
	const launches, atOnce = 200, 40
	pidFile := filepath.Join(t.TempDir(), "pid")
	path := app.Path(t)
	var mu sync.Mutex
	var up, other []string
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for range launches / atOnce {
				out, err := exec.Command(path, "pid="+pidFile).CombinedOutput()
				text := strings.TrimSpace(string(out))
				mu.Lock()
				switch {
				case err == nil:
					up = append(up, text)
				case !strings.Contains(text, "pid file "+pidFile+": ") ||
					err.Error() != "exit status 125":
					other = append(other, fmt.Sprintf("%v: %s", err, text))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	i, err := pidfile.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if i.PID > 0 {
		proctest.KillAtEnd(t, i.PID)
	}
	if len(up) != 1 || len(other) > 0 || up[0] != strconv.Itoa(i.PID) {
		t.Errorf("%d daemons %v; the pid file says %v %d; %d other failures: %.2000q",
			len(up), up, i.State, i.PID, len(other), other)
	}
}

// TestNobodyIsLeftToWait kills the watcher while the launcher is stopped, and then the launcher: a
// daemon that has not said that it is up is ended all the same, also one that has become another
// user by itself.
func TestNobodyIsLeftToWait(t *testing.T) {
	cases := [][]string{nil}
	if os.Getuid() == 0 {
		cases = append(cases, []string{"uid=65534"}, []string{"uid=65534", "chroot=" + openDir(t)})
	}
	for _, more := range cases {
		t.Run(strings.Join(more, " "), func(t *testing.T) {
			proctest.CheckLeaks(t)
			pidFile, log := filepath.Join(t.TempDir(), "pid"), filepath.Join(openDir(t), "log")
			launcher := app.Command(t, append(more, "do=hang", "pid="+pidFile, "log="+log)...)
			if err := launcher.Start(); err != nil {
				t.Fatal(err)
			}
			defer launcher.Wait()
			defer launcher.Process.Kill()
			var pid int
			proctest.Eventually(t, time.Minute, func() error {
				text, err := os.ReadFile(log)
				if err == nil && string(text) != "hanging\n" {
					err = fmt.Errorf("the log says %q", text)
				}
				if err == nil {
					text, err = os.ReadFile(pidFile)
				}
				if err == nil {
					pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
				}
				return err
			})
			watcher := proctest.Inspect(t, pid).PPID
			if watcher <= 1 || watcher == launcher.Process.Pid {
				t.Fatalf("process %d is its parent", watcher)
			}
			if err := errors.Join(launcher.Process.Signal(syscall.SIGSTOP),
				syscall.Kill(watcher, syscall.SIGKILL)); err != nil {
				t.Fatal(err)
			}
			proctest.Gone(t, pid)
		})
	}
}
