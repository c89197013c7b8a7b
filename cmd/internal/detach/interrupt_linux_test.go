package detach_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/pidfile"
)

// TestLauncherEndsAtAnyMoment sends the command a signal at moments spread over the launch, one
// after the other on one pid file. Either the daemon is up afterwards, and in its pid file, or
// nothing is left of it, and the file names nobody and keeps nobody out.
func TestLauncherEndsAtAnyMoment(t *testing.T) {
	up := []string{"--ready", "settle:5ms", "--", "sleep", "1000"}
	waited := []string{"--ready", "notify", "--", "sleep", "1000"}
	for _, c := range []struct {
		name    string
		sig     syscall.Signal
		moments int
		args    []string
	}{
		{"up", syscall.SIGKILL, 20, up},
		{"executed", syscall.SIGKILL, 20, []string{"--ready", "exec", "--", "sleep", "1000"}},
		{"limited", syscall.SIGKILL, 10, append([]string{"--rlimit", "core=0"}, up...)},
		{"failing", syscall.SIGKILL, 10,
			[]string{"--ready", "settle:1s", "--", "sh", "-c", "sleep 0.01; exit 7"}},
		{"waited for", syscall.SIGKILL, 8, waited},
		{"waited for", syscall.SIGINT, 4, waited},
		{"waited for", syscall.SIGTERM, 4, waited},
		{"waited for", syscall.SIGHUP, 4, waited},
	} {
		t.Run(c.name+"/"+c.sig.String(), func(t *testing.T) {
			proctest.CheckLeaks(t)
			pidFile := filepath.Join(t.TempDir(), "pid")
			command := func(args []string) *exec.Cmd {
				return daemonry.Command(t,
					append([]string{"detach", "--pidfile", pidFile}, args...)...)
			}
			measured := c.args
			if c.name == "waited for" {
				measured = up
			}
			for _, after := range proctest.Moments(t, c.moments,
				func() *exec.Cmd { return command(measured) },
				func() { endDaemon(t, pidFile, 0) },
			) {
				interrupt(t, command(c.args), after, c.sig, pidFile)
			}
			detached(t, append([]string{"--pidfile", pidFile}, up...)...)
		})
	}
}

func interrupt(
	t *testing.T, cmd *exec.Cmd, after time.Duration, sig syscall.Signal, pidFile string,
) {
	t.Helper()
	var errs strings.Builder
	cmd.Stderr = &errs
	_, left := proctest.Interrupt(t, cmd, after, sig)
	if strings.Contains(errs.String(), "running already") ||
		strings.Contains(errs.String(), "locked by") {
		t.Errorf("after %v: %s", after, errs.String())
	}
	if len(left) == 0 {
		if b, err := os.ReadFile(pidFile); len(b) > 0 ||
			err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %v: the pid file says %q, %v", after, b, err)
		}
		return
	}
	endDaemon(t, pidFile, left[0])
	if len(left) > 1 {
		t.Errorf("after %v: processes %v", after, left)
	}
}

// endDaemon ends the daemon that the pid file names, which must be this one, if that is not 0.
func endDaemon(t *testing.T, pidFile string, pid int) {
	t.Helper()
	i, err := pidfile.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if pid != 0 && i.PID != pid {
		t.Errorf("the pid file says %v %d, and the daemon is %d", i.State, i.PID, pid)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		proctest.Gone(t, pid)
	}
	if i.State != pidfile.Running {
		return
	}
	if err := errors.Join(i.Signal(syscall.SIGKILL), i.Wait(t.Context())); err != nil {
		t.Errorf("end the daemon: %v", err)
	}
	if err := os.Remove(pidFile); err != nil {
		t.Error(err)
	}
}
