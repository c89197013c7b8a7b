//go:build linux

package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
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

	"github.com/daemonry/daemonry/internal/sys"
)

// What a good daemon looks like: nobody sees whom it told or who started it, and no pid file was
// named.
var good = [16]Result{1: Pass, Pass, Pass, Pass, Pass, Pass, Pass, Pass, Pass, Pass, Pass,
	NotObservable, Pass, NotObservable, NotObservable}

// TestStates changes one thing of a good daemon at a time, and sees the one
// step that it concerns change, and no other.
func TestStates(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone")
	if err := os.Mkdir(gone, 0o755); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	tests := map[string]struct {
		state   state
		options Options
		want    map[int]Result // beside good
		says    map[int]string
	}{
		"good":       {},
		"umask 0":    {state: state{Umask: 0}, says: map[int]string{10: "umask 0000"}},
		"umask 022":  {state: state{Umask: 0o022}, says: map[int]string{10: "umask 0022"}},
		"umask 077":  {state: state{Umask: 0o077}},
		"umask 027":  {state: state{Umask: 0o027}},
		"umask 020":  {state: state{Umask: 0o020}, want: map[int]Result{10: Fail}},
		"umask 0777": {state: state{Umask: 0o777}, want: map[int]Result{10: Fail}},
		"leaked file": {state: state{Leak: []string{"r:/etc/passwd"}},
			want: map[int]Result{1: Fail}, says: map[int]string{1: "1 descriptor of 1"}},
		"leaked /dev/null": {state: state{Leak: []string{"rw:/dev/null", "r:/dev/null"}},
			want: map[int]Result{1: Fail}},
		"leaked directory": {state: state{Leak: []string{"r:/"}}, want: map[int]Result{1: Fail}},
		"leaked pipe":      {state: state{Pipe: true}, want: map[int]Result{1: NotObservable}},
		"leaked socket":    {state: state{Socket: true}, want: map[int]Result{1: NotObservable}},
		"named file": {state: state{Leak: []string{"a:" + log}},
			options: Options{Files: []string{log}}},
		"passed socket": {
			state: state{Socket: true, Env: []string{"LISTEN_FDS=1", "LISTEN_PID=1"}},
			want:  map[int]Result{1: NotObservable, 4: Fail},
		},
		"ignored": {
			state: state{Ignore: []syscall.Signal{syscall.SIGPIPE, syscall.SIGHUP}},
			want:  map[int]Result{2: Fail}, says: map[int]string{2: "SIGHUP, SIGPIPE"},
		},
		"ignored real time": {state: state{Ignore: []syscall.Signal{35}},
			want: map[int]Result{2: Fail}, says: map[int]string{2: "SIGRTMIN+1"}},
		"blocked": {
			state: state{Block: []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR2}},
			want:  map[int]Result{3: Fail}, says: map[int]string{3: "SIGUSR2, SIGTERM"},
		},
		"environment": {
			state: state{Env: []string{"PATH=/bin", "_GO_DAEMON=1", "SUPERVISOR_ENABLED=1"}},
			want:  map[int]Result{4: Fail},
			says:  map[int]string{4: "_GO_DAEMON=1 (go-daemon), SUPERVISOR_ENABLED=1"},
		},
		"clean environment": {
			state: state{Env: []string{"PATH=/bin", "TERM=vt100", "DAEMONRY_ROOT=/x"}},
			says:  map[int]string{4: "3 variables"},
		},
		"launcher's socket": {state: state{Env: []string{"NOTIFY_SOCKET=@0001f"}}},
		"notify socket": {state: state{Env: []string{"NOTIFY_SOCKET=/run/other"}},
			want: map[int]Result{4: Fail}},
		"no second fork": {state: state{Leader: true},
			want: map[int]Result{5: NotObservable, 7: Fail, 8: NotObservable}},
		"stdin closed": {state: state{Stdio: [3]string{0: "closed"}},
			want: map[int]Result{9: Fail}, says: map[int]string{9: "0 is closed"}},
		"stdin write only": {state: state{Stdio: [3]string{0: "w:/dev/null"}},
			want: map[int]Result{9: Fail}, says: map[int]string{9: "0 cannot be read"}},
		"stdout read only": {state: state{Stdio: [3]string{1: "r:/dev/null", 2: "r:/dev/null"}},
			want: map[int]Result{9: Fail}, says: map[int]string{9: "2 cannot be written"}},
		"log": {state: state{Stdio: [3]string{1: "a:" + log, 2: "a:" + log}},
			says: map[int]string{9: "O_WRONLY|O_APPEND"}},
		"deleted directory": {state: state{Dir: gone}, want: map[int]Result{11: Fail},
			says: map[int]string{11: "the directory is gone"}},
		"busy file system": {state: state{Dir: "/proc"}, want: map[int]Result{11: Fail},
			says: map[int]string{11: "mounted at /proc"}},
		"other directory": {state: state{Dir: "/etc"},
			says: map[int]string{11: "/etc, on the root file system"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pid := born(t, test.state)
			if name == "deleted directory" {
				if err := os.Remove(gone); err != nil {
					t.Fatal(err)
				}
			}
			r := inspect(t, pid, test.options)
			for _, step := range r.Steps {
				want := good[step.Number]
				if other, ok := test.want[step.Number]; ok {
					want = other
				}
				if step.Result != want {
					t.Errorf("step %d (%s): %s, want %s: %s %q",
						step.Number, step.Name, step.Result, want, step.Evidence, step.Details)
				}
				if !strings.Contains(step.Evidence, test.says[step.Number]) {
					t.Errorf("step %d says %q, want %q",
						step.Number, step.Evidence, test.says[step.Number])
				}
			}
			if r.Failed() != slices.ContainsFunc(r.Steps,
				func(s Step) bool { return s.Result == Fail }) {
				t.Error("Failed disagrees with the steps")
			}
		})
	}
}

func result(r Report, step int) Result { return r.Steps[step-1].Result }

func TestTerminal(t *testing.T) {
	cmd := exec.Command("script", "-q", "-c", "exec sleep 1000", "/dev/null")
	cmd.Stdin, cmd.Stdout = nil, nil
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL); cmd.Process.Kill(); cmd.Wait() })
	waitFor(t, "script runs sleep", func() bool {
		var list sys.ProcList
		stats, _ := list.Read()
		for _, st := range stats {
			if st.PPID == cmd.Process.Pid && st.Comm == "sleep" {
				pid = st.PID
			}
		}
		return pid != 0
	})
	r := inspect(t, pid, Options{})
	for _, step := range []int{6, 7, 9} {
		if result(r, step) != Fail {
			t.Errorf("%+v", r.Steps[step-1])
		}
	}
	if !strings.Contains(r.Steps[5].Evidence, "/dev/pts/") {
		t.Error(r.Steps[5].Evidence)
	}
}

// A plain child of ours is no daemon at all.
func TestChild(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	st, err := sys.ReadStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	r := inspect(t, cmd.Process.Pid, Options{})
	for _, step := range []int{5, 6, 7, 8, 15} {
		want := Fail
		if (step == 6 || step == 7) && st.Session == 0 {
			// these tests are run in a pid namespace, from a session outside of it
			want = NotObservable
		}
		if result(r, step) != want {
			t.Errorf("want %v: %+v", want, r.Steps[step-1])
		}
	}
}

// A program that sets itself up is not accused of what may be its own doing.
func TestPrograms(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("trap 'exit 0' TERM\ntrap '' PIPE\nsleep 1000 & wait\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	pid := born(t, state{Program: []string{"/bin/sh", script}})
	t.Cleanup(func() { endChildren(t, pid) })
	waitFor(t, "the traps are set", func() bool {
		st, err := sys.ReadStatus(pid)
		return err == nil && st.Ignored.Has(syscall.SIGPIPE) && st.Caught.Has(syscall.SIGTERM)
	})
	r := inspect(t, pid, Options{})
	if r.Failed() || result(r, 2) != NotObservable || result(r, 1) != Pass {
		t.Errorf("%+v", r)
	}
}

func endChildren(t *testing.T, parent int) {
	var list sys.ProcList
	stats, err := list.Read()
	if err != nil {
		t.Error(err)
	}
	for _, st := range stats {
		if st.PPID == parent {
			syscall.Kill(st.PID, syscall.SIGKILL)
		}
	}
}

func TestPIDFile(t *testing.T) {
	pid := born(t, state{})
	name := filepath.Join(t.TempDir(), "pid")
	tests := map[string]struct {
		prepare func() error
		want    Result
		says    string
	}{
		"none": {func() error { return nil }, Fail, "does not exist"},
		"good": {func() error { return os.WriteFile(name, fmt.Appendln(nil, pid), 0o644) },
			Pass, "names it"},
		"other": {func() error { return os.WriteFile(name, []byte("1\n"), 0o644) },
			Fail, "names 1"},
		"empty": {func() error { return os.WriteFile(name, nil, 0o644) }, Fail,
			"names no process"},
		"rubbish": {func() error { return os.WriteFile(name, []byte("\x1b[2Jx"), 0o644) }, Fail,
			"names no process"},
		"writable": {func() error {
			return errors.Join(os.WriteFile(name, fmt.Appendln(nil, pid), 0o644),
				os.Chmod(name, 0o666))
		}, Fail, "lets others write"},
		"stale": {func() error {
			return errors.Join(os.WriteFile(name, fmt.Appendln(nil, pid), 0o644),
				os.Chtimes(name, time.Time{}, time.Now().Add(-time.Hour)))
		}, Fail, "stale"},
		"link": {func() error { return os.Symlink("/etc/passwd", name) }, Fail,
			"names no process"},
		"fifo": {func() error { return syscall.Mkfifo(name, 0o644) }, Fail,
			"not a regular file"},
		"is a dir": {func() error { return os.Mkdir(name, 0o755) }, Fail, "is a directory"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			os.Remove(name)
			if err := test.prepare(); err != nil {
				t.Fatal(err)
			}
			step := inspect(t, pid, Options{PIDFile: name}).Steps[11]
			if step.Result != test.want || !strings.Contains(step.Evidence, test.says) ||
				strings.Contains(step.Evidence, "\x1b") {
				t.Errorf("%+v", step)
			}
		})
	}
	t.Run("found and locked", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "x.pid")
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		fmt.Fprintln(file, os.Getpid())
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		step := inspect(t, os.Getpid(), Options{}).Steps[11]
		if step.Result != Pass || !strings.Contains(step.Evidence, "has a lock on it") {
			t.Errorf("%+v", step)
		}
	})
}

func TestNoProcess(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	waitFor(t, "it is a zombie",
		func() bool { st, err := sys.ReadStat(pid); return err == nil && st.State == 'Z' })
	if _, err := Process(pid, Options{}); !errors.Is(err, ErrNoProcess) ||
		!strings.Contains(err.Error(), "waits for its parent") {
		t.Errorf("zombie: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := Process(pid, Options{}); !errors.Is(err, ErrNoProcess) {
		t.Errorf("gone: %v", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if tid := syscall.Gettid(); tid != os.Getpid() {
		if _, err := Process(tid, Options{}); !errors.Is(err, ErrNoProcess) {
			t.Errorf("thread: %v", err)
		}
	}
	for _, pid := range []int{0, -1} {
		if _, err := Process(pid, Options{}); err == nil {
			t.Errorf("process %d was judged", pid)
		}
	}
}

// asNobody judges pid as an ordinary user, perhaps under a /proc of its own.
func asNobody(t *testing.T, pid int, attr *syscall.SysProcAttr, words ...string) Report {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	// By descriptor, because nobody may not enter the directory it is in.
	words = append(words, "/proc/self/fd/3")
	cmd := exec.Command(words[0], words[1:]...)
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = []string{"CHECK_INSPECT=" + strconv.Itoa(pid), "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr, cmd.Dir = attr, "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r Report
	if err := json.Unmarshal(out[:len(out)-len("<nil>\n")], &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// Somebody else's process: what needs more rights is not observable, and the rest is judged.
func TestOtherUser(t *testing.T) {
	pid, attr := 1, &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		pid = born(t, state{Ignore: []syscall.Signal{syscall.SIGHUP}, Umask: 0o020})
		attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	r := asNobody(t, pid, attr)
	for _, step := range []int{1, 4, 9, 11} {
		if result(r, step) != NotObservable {
			t.Errorf("%+v", r.Steps[step-1])
		}
	}
	if os.Getuid() == 0 && (result(r, 2) != NotObservable || result(r, 3) != Pass ||
		result(r, 7) != Pass || result(r, 10) != Fail) {
		t.Errorf("%+v", r.Steps)
	}
}

// Under hidepid=2 the process is not even in the directory.
func TestHidden(t *testing.T) {
	pid, attr := os.Getpid(), &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		// In a user namespace of our own no process of another user can be
		// hidden from us; without one there is no mount. So judge what hidden makes of it.
		for _, step := range hidden(pid, sys.ErrHidden).Steps {
			if step.Result != NotObservable {
				t.Errorf("%+v", step)
			}
		}
		return
	}
	r := asNobody(t, pid, attr, "sh", "-c",
		`mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0"`)
	if r.PID != pid || len(r.Steps) != 15 || r.Count(NotObservable) != 15 || r.Failed() {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.Steps[0].Evidence, "exists") {
		t.Error(r.Steps[0].Evidence)
	}
}

// A manager that is the parent and listens at NOTIFY_SOCKET is meant by it.
func TestNotifySocketOfTheParent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pid := born(t, state{Env: []string{"NOTIFY_SOCKET=" + name}})
	if step := inspect(t, pid, Options{}).Steps[3]; step.Result != Pass {
		t.Errorf("%+v", step)
	}
}
