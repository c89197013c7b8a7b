package daemonry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/notify"
)

const nobody = 65534

// stayer is a program that is to stay in the foreground, as the argument says, and prints what it
// has become.
var stayer = proctest.Register("stayer", func(args []string) int {
	dir := args[1]
	o := daemonry.Options{
		Umask: new(0o077),
		Name:  "renamed",
		Args:  []string{"one", "two"},
		Env:   []string{"A=b"},
		Dir:   "below",
	}
	if slices.Contains(args, "login") {
		o.Env = nil
	}
	// A thread of its own, idle in a system call, has to become another user too.
	r, w, err := os.Pipe()
	if err != nil {
		return 3
	}
	go func() {
		runtime.LockOSThread()
		syscall.Read(int(r.Fd()), make([]byte, 1))
	}()
	o.Files = []*os.File{w}
	for _, arg := range args[2:] {
		switch name, value, _ := strings.Cut(arg, "="); name {
		case "foreground":
			o.Foreground = true
		case "user":
			o.User = &daemonry.User{UID: nobody, GID: nobody, Groups: []uint32{nobody, 7}}
		case "chroot":
			o.Chroot, o.Dir = dir, "/below"
		case "log":
			o.LogFile = filepath.Join(dir, "log")
		case "pid":
			o.PIDFile = filepath.Join(dir, "pid")
		case "dir":
			o.Dir = value
		}
	}
	threads, _ := os.Open("/proc/self/task")
	proc, err := daemonry.Detach(context.Background(), o)
	if proc != nil {
		fmt.Println("launched")
		return 0
	}
	if err != nil {
		fmt.Println("error:", err)
		fmt.Println("ready:", daemonry.Ready())
		return 1
	}
	if slices.Contains(args, "fail") {
		fmt.Println("on its way")
		daemonry.Fail(errors.New("cannot bind"))
	}
	tellWhatIAm(threads)
	fmt.Println("files:", len(daemonry.Inherited()) == 1 && daemonry.Inherited()[0] == w)
	fmt.Println("ready:", daemonry.Ready())
	fmt.Println("release:", daemonry.Release())
	return 0
})

// tellWhatIAm prints what the tests ask for. The directory of threads was opened before the root
// changed.
func tellWhatIAm(threads *os.File) {
	tids, _ := threads.Readdirnames(-1)
	ids := map[string]bool{}
	for _, tid := range tids {
		fd, err := syscall.Openat(int(threads.Fd()), tid+"/status", syscall.O_RDONLY, 0)
		if err != nil {
			continue
		}
		status, _ := io.ReadAll(os.NewFile(uintptr(fd), "status"))
		for line := range strings.Lines(string(status)) {
			for _, key := range []string{"Uid:", "Gid:", "Groups:", "Umask:"} {
				if strings.HasPrefix(line, key) {
					ids[strings.Join(strings.Fields(line), " ")] = true
				}
			}
		}
	}
	for line := range ids {
		fmt.Println(line)
	}
	cwd, err := os.Getwd()
	fmt.Println("cwd:", cwd, err)
	fmt.Println("args:", os.Args)
	fmt.Println("env:", os.Getenv("A"), os.Getenv("B"), os.Getenv("NOTIFY_SOCKET") != "")
	fmt.Println("login:", os.Getenv("USER"), os.Getenv("LOGNAME"))
}

// stay prepares a directory for a stayer, and its command.
func stay(t *testing.T, args ...string) (dir string, cmd *exec.Cmd) {
	t.Helper()
	dir = openDir(t)
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = stayer.Command(t, append([]string{"stayer", dir}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "B=c")
	return dir, cmd
}

func outputOf(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String()
}

func mustSay(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(strings.Split(out, "\n"), line) {
			t.Errorf("it did not print %q, but\n%s", line, out)
		}
	}
}

// TestForegroundIsWhatTheDaemonWouldBe: only the detaching is left out.
func TestForegroundIsWhatTheDaemonWouldBe(t *testing.T) {
	dir, cmd := stay(t, "foreground", "log", "pid")
	if out := outputOf(t, cmd); out != "" {
		t.Errorf("not in the log: %s", out)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	mustSay(t, string(log), "Umask: 0077", "cwd: "+filepath.Join(dir, "below")+" <nil>",
		"args: [renamed one two]", "env: b  false", "files: true", "ready: <nil>", "release: <nil>")
	if _, err := os.Lstat(filepath.Join(dir, "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file is left: %v", err)
	}
}

// TestForegroundDropsRoot is a container's process 1 that is to become a user, with and without a
// root of its own, and a manager that hears of it.
func TestForegroundDropsRoot(t *testing.T) {
	for _, args := range [][]string{
		{"user"}, {"user", "chroot"}, {"user", "chroot", "log", "pid"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			manager := newManager(t)
			dir, cmd := stay(t, append(args, "foreground")...)
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+manager.path)
			out := outputOf(t, cmd)
			if os.Getuid() != 0 {
				if os.Getuid() != nobody && !strings.Contains(out, "operation not permitted") {
					t.Errorf("not refused: %s", out)
				}
				return
			}
			if slices.Contains(args, "log") {
				log, err := os.ReadFile(filepath.Join(dir, "log"))
				if err != nil || out != "" {
					t.Fatal(out, err)
				}
				out = string(log)
			}
			cwd := filepath.Join(dir, "below")
			if slices.Contains(args, "chroot") {
				cwd = "/below"
			}
			mustSay(t, out, "Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534",
				"Groups: 7 65534", "cwd: "+cwd+" <nil>", "env: b  true", "ready: <nil>")
			if strings.Count(out, "Uid:") != 1 || strings.Count(out, "Groups:") != 1 {
				t.Errorf("its threads differ:\n%s", out)
			}
			if got := manager.heard(); got != "READY=1\nSTOPPING=1\n" {
				t.Errorf("the manager heard %q", got)
			}
		})
	}
}

// TestProcess1 is the first process of a container.
func TestProcess1(t *testing.T) {
	args, want := []string{"user"}, "Uid: 65534 65534 65534 65534"
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		args, want = nil, "ready: <nil>"
		attr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	_, cmd := stay(t, args...)
	cmd.SysProcAttr = attr
	mustSay(t, outputOf(t, cmd), want, "args: [renamed one two]")
}

// TestForegroundEnvironmentOfTheUser: it follows the user, as it does in a daemon.
func TestForegroundEnvironmentOfTheUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("an ordinary user can become nobody else")
		return
	}
	_, cmd := stay(t, "foreground", "user", "chroot", "login")
	mustSay(t, outputOf(t, cmd), "login: nobody nobody", "env:  c false")
}

// manager is a socket that somebody holds who waits to be told.
type manager struct {
	path string
	fd   int
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(openDir(t), "notify")}
	var err error
	m.fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(m.fd) })
	if err := errors.Join(syscall.Bind(m.fd, &syscall.SockaddrUnix{Name: m.path}),
		os.Chmod(m.path, 0o666)); err != nil {
		t.Fatal(err)
	}
	return m
}

// heard is all that was sent until now.
func (m *manager) heard() (said string) {
	for {
		b := make([]byte, 1<<12)
		n, _, err := syscall.Recvfrom(m.fd, b, syscall.MSG_DONTWAIT)
		if err != nil {
			return said
		}
		said += string(b[:n]) + "\n"
	}
}

// TestWhoWaits: a socket of a manager that is gone, or of one that waits for another process, keeps
// nobody in the foreground.
func TestWhoWaits(t *testing.T) {
	manager := newManager(t)
	gone := newManager(t)
	syscall.Close(gone.fd)
	abstract, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(abstract)
	name := "@daemonry-test-" + strconv.Itoa(os.Getpid())
	if err := syscall.Bind(abstract, &syscall.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		setting string // by a shell that becomes the program
		stays   bool
	}{
		"nobody":               {"", false},
		"a manager":            {"NOTIFY_SOCKET=" + manager.path, true},
		"one that says whom":   {"NOTIFY_SOCKET=" + manager.path + " SYSTEMD_EXEC_PID=$$", true},
		"somebody else's":      {"NOTIFY_SOCKET=" + manager.path + " SYSTEMD_EXEC_PID=1", false},
		"gone":                 {"NOTIFY_SOCKET=" + gone.path, false},
		"gone with its file":   {"NOTIFY_SOCKET=" + gone.path + ".not", false},
		"an abstract one":      {"NOTIFY_SOCKET=" + name, true},
		"an abstract one gone": {"NOTIFY_SOCKET=" + name + "-not", false},
		"no address":           {"NOTIFY_SOCKET=nonsense", true}, // Ready has the error
	} {
		t.Run(what, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "unset SYSTEMD_EXEC_PID; "+c.setting+` exec "$0" do=whoami`,
				app.Path(t))
			cmd.Env = slices.DeleteFunc(os.Environ(),
				func(kv string) bool { return strings.HasPrefix(kv, "NOTIFY_SOCKET=") })
			pid, out, errs, _ := run(t, cmd)
			if stays := strings.Contains(out, "the foreground"); stays != c.stays ||
				!stays && pid == 0 {
				t.Errorf("pid %d, output %q, %q", pid, out, errs)
			}
		})
	}
}

// TestForegroundFails: a step that cannot be done is an error of Detach, after which the program is
// not ready, and nothing of the start is left.
func TestForegroundFails(t *testing.T) {
	dir, cmd := stay(t, "foreground", "pid", "dir=/nowhere")
	out := outputOf(t, cmd)
	mustSay(t, out,
		"error: daemonry: in the foreground: chdir /nowhere: no such file or directory",
		"ready: daemonry: Ready after a Detach that failed: daemonry: in the foreground: "+
			"chdir /nowhere: no such file or directory")
	if _, err := os.Lstat(filepath.Join(dir, "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file is left: %v", err)
	}
}

// TestForegroundFailIsHeard: by the log, and by who started it.
func TestForegroundFailIsHeard(t *testing.T) {
	dir, cmd := stay(t, "foreground", "log", "fail")
	out := outputOf(t, cmd)
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	const text = "renamed: cannot bind\n"
	if err != nil || out != text || string(log) != "on its way\n"+text {
		t.Errorf("printed %q, logged %q, %v", out, log, err)
	}
}

// TestForegroundFailOnAFullDisk: who started it hears it also if the log does not.
func TestForegroundFailOnAFullDisk(t *testing.T) {
	dir, cmd := stay(t, "foreground", "log", "fail")
	if err := os.Symlink("/dev/full", filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	if out := outputOf(t, cmd); out != "renamed: cannot bind\n" {
		t.Errorf("printed %q", out)
	}
}

// lookup is a program whose arguments are relative to where it was started: a file that it reads
// before Detach, and Options.Dir.
var lookup = proctest.Register("lookup", func(args []string) int {
	config, err := os.ReadFile(args[0])
	if err != nil {
		daemonry.Fail(err)
	}
	o := daemonry.Options{Capture: true, Dir: args[1], Background: true}
	proc, err := daemonry.Detach(context.Background(), o)
	if err != nil {
		fmt.Println("error:", err)
		return 0
	}
	if proc != nil {
		fmt.Println(proc.PID)
		io.Copy(os.Stdout, proc.Stdout)
		return 0
	}
	cwd, err := os.Getwd()
	fmt.Printf("read %q, now in %s, %v\n", config, cwd, err)
	if err := daemonry.Ready(); err != nil {
		return 1
	}
	time.Sleep(time.Hour)
	return 0
})

// TestRelativePaths: until Detach the daemon is where the launcher was, and when it is ready it
// holds on to that no more.
func TestRelativePaths(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "c.conf"), []byte("x"), 0o600),
		os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{
		"":         `read "x", now in /, <nil>`,
		".":        `read "x", now in ` + dir + `, <nil>`,
		"sub":      `read "x", now in ` + filepath.Join(dir, "sub") + `, <nil>`,
		"/nowhere": "error: daemonry: become the daemon: chdir /nowhere: no such file or directory",
	} {
		t.Run(option, func(t *testing.T) {
			cmd := lookup.Command(t, "c.conf", option)
			cmd.Dir = dir
			pid, out, errs, _ := run(t, cmd)
			if !strings.Contains(out, want+"\n") {
				t.Errorf("%s%s, want %s", out, errs, want)
			}
			if pid == 0 {
				return
			}
			for fd, target := range proctest.Inspect(t, pid).FDs {
				if strings.HasPrefix(target, dir) {
					t.Errorf("descriptor %d is %s", fd, target)
				}
			}
		})
	}
}

// TestManagerIsToldFromANewRoot: a connection that was made before outlives the way to its address.
func TestManagerIsToldFromANewRoot(t *testing.T) {
	m := newManager(t)
	c, err := notify.Client{Socket: m.path}.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Rename(m.path, m.path+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sent, err := c.Ready(); !sent || err != nil {
			t.Errorf("sent: %v, %v", sent, err)
		}
	}
	if got := m.heard(); got != "READY=1\nREADY=1\n" {
		t.Errorf("heard %q", got)
	}
}
