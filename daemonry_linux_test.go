package daemonry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
)

func TestDaemonIsClean(t *testing.T) {
	pid, _, stderr, status := run(t, app.Command(t))
	if pid == 0 || status != 0 {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	mustBeClean(t, pid)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(bytes.ToLower(environ), []byte("daemonry_")) {
		t.Errorf("a mark in the environment: %q", environ)
	}
}

func mustBeClean(t *testing.T, pid int) {
	t.Helper()
	report, err := check.Process(pid, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Steps {
		if s.Result == check.Fail {
			t.Errorf("step %d, %s: %s", s.Number, s.Name, s.Evidence)
		}
	}
}

func TestHostileLaunchers(t *testing.T) {
	for _, l := range proctest.Launchers() {
		t.Run(l.Name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "app.pid")
			cmd := l.Hostile.Command(t, app.Path(t), "background=", "pid="+pidFile)
			cmd.WaitDelay = time.Minute
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			i, err := daemonry.Find(pidFile)
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			proctest.KillAtEnd(t, i.PID)
			mustBeClean(t, i.PID)
		})
	}
}

func TestDaemonSurvivesTheTerminal(t *testing.T) {
	tty := new(proctest.Terminal)
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	cmd := proctest.Hostile{Terminal: tty, GroupLeader: true}.Command(t, app.Path(t),
		"pid="+pidFile)
	if err := cmd.Run(); err != nil {
		t.Fatal(err, tty.HangUp())
	}
	i, err := daemonry.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	proctest.KillAtEnd(t, i.PID)
	tty.HangUp()
	if err := i.Signal(0); err != nil {
		t.Errorf("after the hang-up: %v", err)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		do     string
		status int
		stderr string // contained
	}{
		{"fail:cannot bind", 1, "cannot bind\n"},
		{"failstatus:", 42, "no such table\n"},
		{"failwide:", 1, "status out of range\n"},
		{"exit:7", 7, "exited with status 7 before it was ready\nlast words"},
		{"exit:0", 125, "exited with status 0"},
		{"panic:oops", 2, "panic: oops"},
		{"kill:", 137, "killed by SIGKILL"},
		{"leave:", 9, "exited with status 9"},
	} {
		t.Run(c.do, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "app.pid")
			pid, _, stderr, status := run(t, app.Command(t, "do="+c.do, "pid="+pidFile))
			if pid != 0 || status != c.status || !strings.Contains(stderr, c.stderr) {
				t.Errorf("pid %d, status %d, stderr %q; want status %d, %q",
					pid, status, stderr, c.status, c.stderr)
			}
			if _, err := os.Lstat(pidFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("pid file is left: %v", err)
			}
		})
	}
}

func TestTimeoutNamesThePhase(t *testing.T) {
	_, _, stderr, status := run(t, app.Command(t, "do=hang", "timeout=300ms"))
	if status != 124 || !strings.Contains(stderr, "wait for ready: daemon") ||
		!strings.Contains(stderr, "within 300ms") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// TestLauncherDies kills the launcher while it waits: the half-born daemon must go too.
func TestLauncherDies(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "app.pid")
			cmd := app.Command(t, "do=hang", "pid="+pidFile)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			proctest.Eventually(t, time.Minute, func() error {
				b, err := os.ReadFile(pidFile)
				if err != nil {
					return err
				}
				pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
				return err
			})
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			proctest.Gone(t, pid)
		})
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	pid, _, stderr, _ := run(t, app.Command(t, "pid="+pidFile))
	if pid == 0 {
		t.Fatal(stderr)
	}
	_, _, stderr, status := run(t, app.Command(t, "pid="+pidFile))
	if want := fmt.Sprintf("process %d is running already", pid); status != 125 ||
		!strings.Contains(stderr, want) {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	// Killed without a chance to clean up, it can be started again at once.
	i, err := daemonry.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if err := i.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, _, stderr, _ := run(t, app.Command(t, "pid="+pidFile)); again == 0 || again == pid {
		t.Errorf("second start: pid %d, stderr %q", again, stderr)
	}
}

func TestLockIsCarriedAcross(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locked")
	pid, _, stderr, _ := run(t, app.Command(t, "locked="+path))
	if pid == 0 {
		t.Fatal(stderr)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()),
		syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Errorf("the daemon does not hold the lock: %v", err)
	}
}

func TestCapture(t *testing.T) {
	pid, stdout, stderr, _ := run(t, app.Command(t, "do=print", "capture="))
	if pid == 0 || !strings.Contains(stdout, `stdout "to stdout" stderr "to stderr"`) {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestCaptureOfAFailureLeavesNothingOpen(t *testing.T) {
	_, _, stderr, status := run(t, app.Command(t, "do=exit:7", "capture="))
	if status != 7 || !strings.Contains(stderr, "last words") ||
		strings.Contains(stderr, "left open") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// TestPIDFileIsReplacedMeanwhile puts a stranger's file in the place of the launcher's, after that
// was locked and before there is a daemon. The daemon finds out. (launcher_linux_test.go has what
// comes of it later.)
func TestPIDFileIsReplacedMeanwhile(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	pidFile, logFile, stranger := filepath.Join(dir, "app.pid"), filepath.Join(dir, "log"),
		filepath.Join(dir, "stranger")
	log := holdOpening(t, logFile)
	cmd := app.Command(t, "pid="+pidFile, "log="+logFile)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It has the pid file and waits for the log.
	proctest.Eventually(t, 20*time.Second, func() error {
		if fcntl(t, log, getLease, 0) == syscall.F_WRLCK {
			return errors.New("nobody wants the log")
		}
		return nil
	})
	if err := errors.Join(os.WriteFile(stranger, []byte("1\n"), 0o644),
		os.Rename(stranger, pidFile)); err != nil {
		t.Fatal(err)
	}
	fcntl(t, log, setLease, syscall.F_UNLCK)
	cmd.Wait()
	status := cmd.ProcessState.ExitCode()
	if status != 1 || !strings.Contains(errs.String(), "it was replaced by another file") {
		t.Errorf("status %d, stderr %q", status, errs.String())
	}
	if b, err := os.ReadFile(pidFile); err != nil || string(b) != "1\n" {
		t.Errorf("the stranger's pid file: %q, %v", b, err)
	}
}

const setLease, getLease = 1024, 1025 // F_SETLEASE and F_GETLEASE of fcntl(2)

// holdOpening makes a file whose next open(2) waits for us, by a lease.
func holdOpening(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fcntl(t, f, setLease, syscall.F_WRLCK)
	return f
}

func fcntl(t *testing.T, f *os.File, call, arg uintptr) uintptr {
	t.Helper()
	got, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), call, arg)
	if errno != 0 {
		t.Fatalf("fcntl %d: %v", call, errno)
	}
	return got
}

func TestLogFile(t *testing.T) {
	logFile := filepath.Join(t.TempDir(), "app.log")
	pid, _, stderr, _ := run(t, app.Command(t, "do=print", "log="+logFile))
	if pid == 0 {
		t.Fatal(stderr)
	}
	proctest.Eventually(t, time.Minute, func() error {
		b, err := os.ReadFile(logFile)
		if err == nil && string(b) != "to stdoutto stderrafter ready\n" {
			err = fmt.Errorf("log file: %q", b)
		}
		return err
	})
	if info, err := os.Stat(logFile); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestUmask(t *testing.T) {
	for arg, want := range map[string]string{
		"umask=0": "0000", "umask=077": "0077", "do=serve": "0022",
	} {
		pid, _, stderr, _ := run(t, app.Command(t, arg))
		if pid == 0 {
			t.Fatal(stderr)
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || !strings.Contains(string(b), "Umask:\t"+want+"\n") {
			t.Errorf("%s: no umask %s in\n%s", arg, want, b)
		}
	}
}

func TestCredential(t *testing.T) {
	if os.Getuid() != 0 {
		_, _, stderr, status := run(t, app.Command(t, "uid=65534"))
		if uid := os.Getuid(); uid != 65534 &&
			(status != 125 ||
				!strings.Contains(stderr, "set user 65534:65534: operation not permitted")) {
			t.Errorf("status %d, stderr %q", status, stderr)
		}
		return
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"uid=65534"}, {"uid=65534", "chroot=" + root}} {
		pid, _, stderr, _ := run(t, app.Command(t, args...))
		if pid == 0 {
			t.Fatal(stderr)
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n",
			"Groups:\t \n", "CapEff:\t0000000000000000\n",
		} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%v: no %q in\n%s", args, want, b)
			}
		}
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/root", pid)); len(args) > 1 &&
			(err != nil || got != root) {
			t.Errorf("root is %q, %v", got, err)
		}
	}
}

// brief is a daemon that ends as soon as it is ready.
var brief = proctest.Register("brief", func(args []string) int {
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{
		PIDFile: args[0], Background: true, Timeout: time.Minute,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if proc != nil || daemonry.Ready() == nil && daemonry.Release() == nil {
		return 0
	}
	return 1
})

// TestBriefDaemon: one that has released its pid file before the launcher had written it was up all
// the same, and the file names nobody afterwards.
func TestBriefDaemon(t *testing.T) {
	proctest.CheckLeaks(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	for range 50 {
		if _, _, stderr, status := run(t, brief.Command(t, pidFile)); status != 0 {
			t.Fatalf("status %d: %s", status, stderr)
		}
		proctest.Eventually(t, time.Minute, func() error {
			_, err := os.Lstat(pidFile)
			if err == nil {
				return errors.New("the pid file is still there")
			}
			return nil
		})
	}
}
