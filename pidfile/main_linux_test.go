package pidfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

const (
	helperEnv = "PIDFILE_TEST_HELPER" // which helper this process is
	mountsEnv = "PIDFILE_TEST_MOUNTS" // which test runs in a mount namespace of its own
	nobody    = 65534
)

// helpers are the programs that the test binary can be. Each prints lines and
// lives until its standard input ends.
var helpers = map[string]func(args []string) error{
	"hold":     hold,
	"storm":    storm,
	"adopt":    adopt,
	"confined": confined,
	"find":     find1,
	"fcntl":    fcntl,
	"await":    await,
	"stranger": stranger,
	"sleep":    func([]string) error { fmt.Println("up"); return nil },
}

func TestMain(m *testing.M) {
	name := os.Getenv(helperEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := helpers[name](os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// hold acquires the file, records itself, and with a second argument starts a
// child that outlives it.
func hold(args []string) error {
	f, err := Acquire(args[0], Options{})
	if err != nil {
		return err
	}
	if err := f.Write(os.Getpid()); err != nil {
		return err
	}
	if len(args) > 1 {
		child := exec.Command("/bin/sleep", "1000")
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println(child.Process.Pid)
	}
	fmt.Println("held")
	return nil
}

// storm tries to acquire the file many times at once and prints how often it
// could. What it got it keeps.
func storm(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var got atomic.Int32
	var wg sync.WaitGroup
	var odd sync.Map
	for range n {
		wg.Go(func() {
			f, err := Acquire(args[0], Options{})
			if err == nil {
				got.Add(1)
				err = f.Write(os.Getpid())
			}
			var running *RunningError
			if err != nil && !errors.Is(err, ErrLocked) && !errors.As(err, &running) {
				odd.Store(err.Error(), nil)
			}
		})
	}
	wg.Wait()
	odd.Range(func(text, _ any) bool { err = fmt.Errorf("unexpected: %s", text); return false })
	fmt.Println(got.Load())
	return err
}

// await waits until it is recorded, and acquires the file then.
func await(args []string) error {
	for {
		i, err := Find(args[0])
		if err != nil {
			return err
		}
		i.Close()
		if i.State == Running && i.PID == os.Getpid() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	f, err := Acquire(args[0], Options{})
	if err != nil {
		return err
	}
	err = f.Write(os.Getpid())
	fmt.Println("held")
	return err
}

// adopt takes over descriptor 3, writes itself and starts a child.
func adopt(args []string) error {
	f, err := Adopt(os.NewFile(3, "inherited"), args[0])
	if err != nil {
		return err
	}
	fmt.Println("write:", f.Write(os.Getpid()))
	child := exec.Command("/bin/sleep", "1000")
	if err := child.Start(); err != nil {
		return err
	}
	fmt.Println(child.Process.Pid)
	return nil
}

// find1 prints what Find says and what comes of signal 0 and of Acquire.
func find1(args []string) error {
	i, err := Find(args[0])
	if err != nil {
		fmt.Println(err)
		return nil
	}
	f, acquireErr := Acquire(args[0], Options{})
	if acquireErr == nil {
		acquireErr = f.Close()
	}
	fmt.Printf("%v %d|%v|signal: %v|acquire: %v\n", i.State, i.PID, i.Why, i.Signal(0), acquireErr)
	return nil
}

// fcntl locks the file as programs do that know only lockf.
func fcntl(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer fmt.Println("locked")
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
}

// A process is a helper that runs.
type process struct {
	*exec.Cmd
	in    io.Closer
	lines *bufio.Scanner
}

// start starts a helper; it is killed and reaped at the end of the test.
func start(t *testing.T, helper string, args []string, change ...func(*exec.Cmd)) *process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+helper, "GORACE="+proctest.RaceSettings())
	cmd.Stderr = os.Stderr
	for _, c := range change {
		c(cmd)
	}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{Cmd: cmd, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9. Its return means that the process is reaped.
func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait() // the error says that it was killed
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the helper said nothing: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// pid reads a line that names a process, and kills that one at the end of the test.
func (p *process) pid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(p.line(t))
	must(t, err)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

func asNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
	}
}

// inOwnMounts runs the calling test again in a mount namespace of its own, so
// that what it mounts is gone with it. An ordinary user gets a user namespace
// as well and is root in there.
func inOwnMounts(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(mountsEnv) == t.Name() {
		must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		body(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountsEnv+"="+t.Name(), "GORACE="+proctest.RaceSettings())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getuid(), Size: 1},
		}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getgid(), Size: 1},
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPath is a path in a directory that other users may search.
func newPath(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return filepath.Join(dir, "app.pid")
}

// memPath is a path in memory, as in /run, for the tests that write so often
// that a busy disk would make them slow.
func memPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "pidfile-test")
	if err != nil {
		return newPath(t)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "app.pid")
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func acquired(t *testing.T, path string) *File {
	t.Helper()
	f, err := Acquire(path, Options{})
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// recorded makes a pid file for pid as `detach` does: written, not held.
func recorded(t *testing.T, path string, pid int) {
	t.Helper()
	f := acquired(t, path)
	must(t, f.Write(pid))
	must(t, f.Close())
}

func found(t *testing.T, path string) *Instance {
	t.Helper()
	i, err := Find(path)
	must(t, err)
	t.Cleanup(func() { _ = i.Close() })
	return i
}

func wantState(t *testing.T, path string, want State, says string) *Instance {
	t.Helper()
	i := found(t, path)
	why := fmt.Sprint(i.Why)
	if i.State != want || !strings.Contains(why, says) || strings.Contains(why, "\n") {
		t.Errorf("found %v %d (%v), want %v saying %q", i.State, i.PID, i.Why, want, says)
	}
	if err := i.Signal(0); (err == nil) != (i.State == Running) {
		t.Errorf("%v, yet signal 0 gives %v", i.State, err)
	}
	return i
}

func wantRunning(t *testing.T, path string, pid int) {
	t.Helper()
	_, err := Acquire(path, Options{})
	var running *RunningError
	if !errors.As(err, &running) || running.PID != pid || running.Path != path {
		t.Errorf("Acquire while %d runs: %v", pid, err)
	}
}
