package proctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// abandonEnv makes the tests leave a process behind.
const abandonEnv = "PROCTEST_TEST_ABANDON"

func TestMain(m *testing.M) {
	if os.Getenv(abandonEnv) != "" {
		leaveTime = time.Second // it stays anyway
	}
	if os.Getenv(abandonEnv) != "" && os.Getenv(initEnv) != "" {
		if err := exec.Command("sleep", "1000").Start(); err != nil {
			panic(err)
		}
	}
	Main(m)
}

// sleeper sleeps until it is killed.
var sleeper = Register("sleeper", func([]string) int { time.Sleep(time.Hour); return 0 })

// exiter exits with the status args[0].
var exiter = Register("exiter", func(args []string) int {
	status, err := strconv.Atoi(args[0])
	if err != nil {
		return 98
	}
	return status
})

// orphaner starts what its arguments say, prints its pid and leaves it.
var orphaner = Register("orphaner", func(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		return 1
	}
	fmt.Println(cmd.Process.Pid)
	return 0
})

func TestProgramReturnsItsStatus(t *testing.T) {
	CheckLeaks(t)
	err := exiter.Command(t, "42").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("got %v, want exit status 42", err)
	}
}

// inState starts a program that sleeps under h and returns what /proc says of it.
func inState(t *testing.T, h Hostile, argv ...string) State {
	t.Helper()
	var stderr strings.Builder
	cmd := h.Command(t, argv...)
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var s State
	Eventually(t, time.Minute, func() (err error) {
		s, err = findSleeper(cmd.Process.Pid, argv)
		if !Alive(cmd.Process.Pid) {
			t.Fatalf("%d ended early: %v\n%s", cmd.Process.Pid, cmd.Wait(), &stderr)
		}
		return err
	})
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("killed, but the command returned 0")
	}
	return s
}

// findSleeper finds a sleeping process that was executed with argv, pid itself or
// below it.
func findSleeper(pid int, argv []string) (State, error) {
	procs := descendants(pid)
	for _, p := range append(procs, process{pid: pid}) {
		if s, err := ReadState(p.pid); err == nil && slices.Equal(s.Args, argv) && s.State == 'S' {
			return s, nil
		}
	}
	return State{}, fmt.Errorf("%q is neither %d nor below it: %v", argv, pid, procs)
}

// TestHostileState shows that each wish of a Hostile comes true.
func TestHostileState(t *testing.T) {
	tests := []struct {
		name  string
		h     Hostile
		check func(s State) error
	}{
		{"leak", Hostile{Leak: LeakedDescriptors()},
			func(s State) error { return wantOpen(s, LeakedDescriptors()) }},
		{
			"leak above limit",
			Hostile{Leak: LeakedDescriptors(), NoFile: sys.Rlimit{Soft: 60, Hard: 70}},
			func(s State) error {
				return errors.Join(wantOpen(s, LeakedDescriptors()),
					want(s.NoFile, [2]string{"60", "70"}))
			},
		},
		{"block", Hostile{Block: []syscall.Signal{syscall.SIGTERM, sigusr2}}, func(s State) error {
			return want(s.Blocked, sys.SignalSet(0).Add(syscall.SIGTERM).Add(sigusr2))
		}},
		{
			"ignore", Hostile{Ignore: []syscall.Signal{syscall.SIGHUP, syscall.SIGINT}},
			func(s State) error {
				return want(s.Ignored, sys.SignalSet(0).Add(syscall.SIGHUP).Add(syscall.SIGINT))
			},
		},
		{"umask", Hostile{Umask: "077"}, func(s State) error { return want(s.Umask, 0o077) }},
		{"terminal", Hostile{Terminal: new(Terminal)}, func(s State) error {
			if s.TTY == 0 || !strings.HasPrefix(s.FDs[0], "/dev/pts/") || s.SID != s.PID {
				return fmt.Errorf("tty %d, standard input %s, session %d of %d",
					s.TTY, s.FDs[0], s.SID, s.PID)
			}
			return want(s.FDs[3], "")
		}},
		{"deleted directory", Hostile{DeletedDir: true}, func(s State) error {
			return want(strings.HasSuffix(s.Cwd, " (deleted)"), true)
		}},
		{"no environment", Hostile{NoEnv: true},
			func(s State) error { return want(len(s.Environ), 0) }},
		{"polluted environment", Hostile{NoEnv: true, Env: PollutedEnv()}, func(s State) error {
			return want(strings.Join(s.Environ, "\n"), strings.Join(PollutedEnv(), "\n"))
		}},
		{"not a group leader", Hostile{},
			func(s State) error { return want(s.PGID == s.PID, false) }},
		{"group leader", Hostile{GroupLeader: true},
			func(s State) error { return want(s.PGID, s.PID) }},
		{"nohup", Hostile{Under: Nohup},
			func(s State) error { return want(s.Ignored.Has(syscall.SIGHUP), true) }},
		{"script", Hostile{Under: Script}, func(s State) error { return want(s.TTY != 0, true) }},
		{"setsid", Hostile{Under: Setsid, GroupLeader: true},
			func(s State) error { return want(s.SID, s.PID) }},
		{"env -i", Hostile{Under: CleanEnv},
			func(s State) error { return want(len(s.Environ), 0) }},
		{"cron", Hostile{Under: Cron}, func(s State) error {
			if s.Cwd != "/" || s.TTY != 0 || !slices.Contains(s.Environ, "PATH=/usr/bin:/bin") {
				return fmt.Errorf("cwd %s, tty %d, environment %q", s.Cwd, s.TTY, s.Environ)
			}
			return nil
		}},
		{"pipeline", Hostile{Under: Pipeline},
			func(s State) error { return want(strings.HasPrefix(s.FDs[1], "pipe:"), true) }},
		{"pid 1", Hostile{Under: PID1}, func(s State) error { return want(s.InnerPID, 1) }},
		{"worst", Worst(), func(s State) error {
			if s.TTY == 0 || s.Umask != 0o077 || !s.Blocked.Has(sigchld) ||
				!s.Ignored.Has(syscall.SIGPIPE) {
				return fmt.Errorf("%+v", s)
			}
			return wantOpen(s, LeakedDescriptors())
		}},
	}
	// not written in Go, whose runtime changes what it inherits
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			CheckLeaks(t)
			if err := tt.check(inState(t, tt.h, sleep, "1000")); err != nil {
				t.Error(err)
			}
		})
	}
}

func want[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func wantOpen(s State, fds []int) error {
	for _, fd := range fds {
		if s.FDs[fd] == "" {
			return fmt.Errorf("descriptor %d is not open: %v", fd, s.FDs)
		}
	}
	return nil
}

// TestClosedStandardDescriptors asks a shell, because the Go runtime opens
// /dev/null on what is closed before any Go code runs.
func TestClosedStandardDescriptors(t *testing.T) {
	CheckLeaks(t)
	for _, closed := range [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}} {
		file := filepath.Join(t.TempDir(), "open")
		script := `: >"$1"; for fd in 0 1 2; do [ ! -e /proc/$$/fd/$fd ] || echo $fd >>"$1"; done`
		cmd := Hostile{Close: closed}.Command(t, "sh", "-c", script, "sh", file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("closed %v: %v\n%s", closed, err, out)
		}
		open, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for fd := range 3 {
			if strings.Contains(string(open), strconv.Itoa(fd)) == slices.Contains(closed, fd) {
				t.Errorf("closed %v: open are %q", closed, open)
			}
		}
	}
}

// TestEveryLauncherPassesTheStatus shows that what runs below each launcher
// can still tell the test how it ended.
func TestEveryLauncherPassesTheStatus(t *testing.T) {
	for _, l := range append(Launchers(), Launcher{"pid 1", Hostile{Under: PID1}}) {
		t.Run(l.Name, func(t *testing.T) {
			CheckLeaks(t)
			err := l.Command(t, exiter.Path(t), "42").Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 42 {
				t.Errorf("got %v, want exit status 42", err)
			}
		})
	}
}

func TestHangUp(t *testing.T) {
	CheckLeaks(t)
	h := Hostile{Terminal: new(Terminal)}
	cmd := h.Command(t, "sh", "-c", "echo ready; read line; echo never")
	cmd.Stdout = h.Terminal.Slave(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, time.Minute, func() error {
		p, err := readProcess(cmd.Process.Pid)
		if err != nil {
			return err
		}
		return want(p.comm, "sh")
	})
	out := h.Terminal.HangUp()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
		t.Errorf("got %v and %q, want a death by SIGHUP", err, out)
	}
}

// TestOrphansAreAdopted shows that an orphan becomes a child of the init of
// the tests and is reaped when it ends.
func TestOrphansAreAdopted(t *testing.T) {
	CheckLeaks(t)
	pid := orphan(t)
	p, err := readProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if p.ppid != os.Getppid() {
		t.Errorf("the orphan is a child of %d, want the init %d", p.ppid, os.Getppid())
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	Eventually(t, time.Minute, func() error {
		if p, err := readProcess(pid); err == nil {
			return fmt.Errorf("still there: %v", p)
		}
		return nil
	})
}

// orphan leaves a process behind and returns its pid.
func orphan(t *testing.T) int {
	t.Helper()
	out, err := orphaner.Command(t, sleeper.Path(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestKillAtEnd(t *testing.T) {
	CheckLeaks(t)
	var pid int
	t.Run("inner", func(t *testing.T) {
		pid = orphan(t)
		KillAtEnd(t, pid)
	})
	if Alive(pid) {
		t.Errorf("%d is alive after the end of its test", pid)
	}
}

func TestRunAs(t *testing.T) {
	CheckLeaks(t)
	root := os.Geteuid() == 0
	RunAs(t, "nobody", func(t *testing.T) {
		CheckLeaks(t)
		s := Inspect(t, os.Getpid())
		if s.UIDs[0] == 0 || s.UIDs[2] == 0 || slices.Contains(s.Groups, 0) && root {
			t.Errorf("not an ordinary user: %v, groups %v", s.UIDs, s.Groups)
		}
		if err := os.WriteFile(filepath.Join(t.TempDir(), "file"), nil, 0o600); err != nil {
			t.Error(err)
		}
		if err := exiter.Command(t, "0").Run(); err != nil {
			t.Error(err)
		}
	})
}

func TestEventuallyKeepsTheLastError(t *testing.T) {
	n := 0
	err := poll(5*time.Millisecond, func() error { n++; return fmt.Errorf("call %d", n) })
	if err == nil || n < 2 || err.Error() != fmt.Sprintf("call %d", n) {
		t.Errorf("after %d calls: %v", n, err)
	}
}

// recorder stands for a test whose leaks are wanted.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// leaks returns what CheckLeaks says of body.
func leaks(t *testing.T, body func()) []string {
	t.Helper()
	r := &recorder{TB: t}
	CheckLeaks(r)
	body()
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	return r.errors
}

func TestCheckLeaksCanFail(t *testing.T) {
	defer func(d time.Duration) { leaveTime = d }(leaveTime)
	leaveTime = 50 * time.Millisecond
	stop := make(chan bool)
	var file *os.File
	var child *exec.Cmd
	tests := []struct {
		name, want string
		leak, mend func()
	}{
		{"goroutine", "1 goroutines left", func() { go func() { <-stop }() },
			func() { close(stop) }},
		{"descriptor", "1 descriptors left", func() { file, _ = os.Open("/dev/null") },
			func() { file.Close() }},
		{"orphan", "sleeper", func() { orphan(t) }, func() {}},
		{"child", "sleep", func() {
			child = exec.Command("sleep", "1000")
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
		}, func() { _ = child.Wait() }},
		{"zombie", "state Z", func() {
			child = exec.Command("true")
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			Eventually(t, time.Minute, func() error {
				p, err := readProcess(child.Process.Pid)
				return errors.Join(err, want(p.zombie(), true))
			})
		}, func() { _ = child.Wait() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := leaks(t, tt.leak)
			tt.mend()
			if !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("CheckLeaks says %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMainFailsForAnAbandonedProcess runs these tests again, with a TestMain
// that leaves a process behind.
func TestMainFailsForAnAbandonedProcess(t *testing.T) {
	CheckLeaks(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestEventually", "-test.paniconexit0")
	cmd.Env = append(os.Environ(), abandonEnv+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.Contains(string(out), `"sleep" "1000"`) {
		t.Errorf("got %v, want exit status 1 and the name of the process:\n%s", err, out)
	}
}

func TestUnusedProgramsAreNamed(t *testing.T) {
	Register("idle", func([]string) int { return 0 })
	defer delete(programs, "idle")
	if !slices.Contains(unused(), "idle") {
		t.Errorf("unused are %q", unused())
	}
}

// TestZombie: the kernel cannot be made to stop in the middle of an execve, so
// the numbers are made up.
func TestZombie(t *testing.T) {
	if !(process{state: 'Z', threads: 1}).zombie() || (process{state: 'Z', threads: 2}).zombie() ||
		(process{state: 'S', threads: 1}).zombie() {
		t.Error("only the last thread of a process makes it a zombie")
	}
}
