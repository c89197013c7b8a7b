package detach_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// TestFailures: each has the exit status of the contract and a reason, and leaves no process and no
// file.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	words := writeFile(t, "words", "no program\n", 0o644)
	interpreted := writeFile(t, "interpreted", "#!/no/such/interpreter\n", 0o755)
	garbage := writeFile(t, "garbage", "\x7fELF", 0o755)
	for _, c := range []struct {
		name   string
		status int
		words  string
		args   []string
	}{
		{"no such program", 127, "no-such-program: not found", []string{"no-such-program"}},
		{"no such file", 127, "not found", []string{dir + "/nothing"}},
		{"not executable", 126, "permission denied", []string{words}},
		{"bad interpreter", 126, "/no/such/interpreter", []string{interpreted}},
		{"rubbish", 126, "exec format error", []string{garbage}},
		{"a directory", 126, "cannot be executed", []string{dir}},
		{"exits at once", 7, "exited with status 7", []string{"sh", "-c", "exit 7"}},
		{"exits with 0", 125, "exited with status 0", []string{"true"}},
		{"killed", 137, "killed by SIGKILL", []string{"sh", "-c", "kill -9 $$"}},
		{"aborts", 134, "killed by SIGABRT", []string{"sh", "-c", "kill -ABRT $$"}},
		{"dies after 50 ms", 3, "exited with status 3", []string{"sh", "-c", "sleep 0.05; exit 3"}},
		{"leaves children", 9, "exited with status 9",
			[]string{"sh", "-c", "setsid sleep 1000 & sleep 1000 & (sleep 1000 &); exit 9"}},
	} {
		for _, ready := range []string{"settle:25s", "notify", "file:" + dir + "/never"} {
			t.Run(c.name+"/"+ready[:4], func(t *testing.T) {
				proctest.CheckLeaks(t)
				began := time.Now()
				refused(t, c.status, c.words,
					append([]string{"--ready", ready, "--"}, c.args...)...)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("seen after %v: by time-out", took)
				}
			})
		}
	}
}

// TestLastWords: what it printed before it died is on our standard error, and stays in its file.
func TestLastWords(t *testing.T) {
	proctest.CheckLeaks(t)
	log := filepath.Join(t.TempDir(), "log")
	refused(t, 3, "\n| cannot bind: port taken\n", "--stderr", log, "--", "sh", "-c",
		"echo cannot bind: port taken >&2; exit 3")
	contains(t, log, "port taken")
}

// crowd is a Go program that panics among many goroutines, after a panic that was none.
var crowd = proctest.Register("crowd", func([]string) int {
	fmt.Fprintln(os.Stderr, "panic: recovered\nstarting")
	debug.SetTraceback("all")
	for range 3000 {
		go func() { select {} }()
	}
	panic("oops")
})

// TestLastWordsOfACrowd: the reason of a Go program's end is shown, and not the last of its stacks.
func TestLastWordsOfACrowd(t *testing.T) {
	proctest.CheckLeaks(t)
	log := filepath.Join(t.TempDir(), "log")
	refused(t, 2, "ready\n| panic: oops\n| \n| goroutine ", "--stderr", log, "--", crowd.Path(t))
	refused(t, 2, "\n| printed before:\n| panic: recovered\n| starting\n", "--stderr", log+"2",
		"--", crowd.Path(t))
}

// TestNoLogIsLeft of a program that printed nothing.
func TestNoLogIsLeft(t *testing.T) {
	proctest.CheckLeaks(t)
	log := filepath.Join(t.TempDir(), "log")
	refused(t, 3, "status 3", "--stdout", log, "--", "sh", "-c", "exit 3")
	if _, err := os.Stat(log); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty log is left: %v", err)
	}
}

// TestBadInput: one line, nothing started, nothing left.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		status int
		words  string
		args   []string
	}{
		{2, "--rubbish", []string{"--rubbish", "--", "true"}},
		{2, "program", nil},
		{125, "no-such-user", []string{"--user", "no-such-user", "--", "true"}},
		{125, "no-such-group", []string{"--user", "root:no-such-group", "--", "true"}},
		{125, "needs a group", []string{"--user", "54321", "--", "true"}},
		{125, "/no/such/file", []string{"--env-file", "/no/such/file", "--", "true"}},
		{2, "999", []string{"--umask", "999", "--", "true"}},
		{2, "rubbish", []string{"--rlimit", "rubbish=1", "--", "true"}},
		{2, "lots", []string{"--rlimit", "nofile=lots", "--", "true"}},
		{125, "/no/such/dir", []string{"--chdir", "/no/such/dir", "--", "true"}},
		{125, "/no/such/dir", []string{"--stdout", "/no/such/dir/log", "--", "true"}},
		{125, "/no/such/dir", []string{"--stdin", "/no/such/dir/in", "--", "true"}},
		{2, "rubbish", []string{"--ready", "rubbish:1", "--", "true"}},
		{2, "tomorrow", []string{"--timeout", "tomorrow", "--", "true"}},
		{2, "CAP_RUBBISH", []string{"--cap", "CAP_RUBBISH", "--", "true"}},
		{125, "nothing to read", []string{"--ready", "log:x", "--", "true"}},
		{125, "77", []string{"--pass-fd", "77", "--", "true"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			proctest.CheckLeaks(t)
			cmd := daemonry.Command(t, append([]string{"detach"}, c.args...)...)
			cmd.Dir = dir
			r := finish(t, cmd)
			if r.status != c.status || !strings.Contains(r.stderr, c.words) || r.stdout != "" {
				t.Errorf("%+v, want status %d and %q", r, c.status, c.words)
			}
		})
	}
	t.Run("pid file in no directory", func(t *testing.T) {
		proctest.CheckLeaks(t)
		r := run(t, "detach", "--pidfile", "/no/such/dir/pid", "--", "true")
		if r.status != 125 || !strings.Contains(r.stderr, "/no/such/dir") {
			t.Errorf("%+v", r)
		}
	})
	if list, err := os.ReadDir(dir); len(list) > 0 || err != nil {
		t.Errorf("left: %v, %v", list, err)
	}
}

// dier writes when it dies to the file args[0], and dies.
var dier = proctest.Register("dier", func(args []string) int {
	<-time.After(50 * time.Millisecond)
	if os.WriteFile(args[0], strconv.AppendInt(nil, time.Now().UnixNano(), 10), 0o600) != nil {
		return 1
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // does not return
	return 2
})

// TestDeathIsNoticedAtOnce measures from the death of the program to the end of the command.
func TestDeathIsNoticedAtOnce(t *testing.T) {
	const bound = 100 * time.Millisecond
	for _, ready := range []string{
		"settle:10s", "notify", "file:/never", "tcp:127.0.0.1:1", "cmd:false", "fd:5",
	} {
		t.Run(ready, func(t *testing.T) {
			proctest.CheckLeaks(t)
			var took []time.Duration
			// On a machine that has much else to do the best of many tries is what the command
			// itself takes.
			for len(took) < 5 || slices.Min(took) > bound && len(took) < 50 {
				file := filepath.Join(t.TempDir(), "died")
				refused(t, 137, "killed by SIGKILL", "--ready", ready, "--", dier.Path(t), file)
				now := time.Now().UnixNano()
				died, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				at, err := strconv.ParseInt(string(died), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Duration(now-at))
			}
			slices.Sort(took)
			t.Logf("median %v, of %v", took[len(took)/2], took)
			if took[0] > bound {
				t.Errorf("noticed after %v", took)
			}
		})
	}
}

// TestUser: with root's power to become somebody, all of that somebody.
func TestUser(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	args := []string{"--stdout", out, "--user", "nobody:12", "--clear-env", "--env", "X=1", "--",
		"sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $LOGNAME $SHELL $X; exec sleep 1000"}
	if os.Geteuid() != 0 {
		refused(t, 125, "operation not permitted",
			append([]string{"--user", "root:root"}, args[4:]...)...)
		return
	}
	proctest.CheckLeaks(t)
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	detached(t, args...)
	contains(t, out, u.Uid+"\n12\n12 "+strings.Join(groups, " ")+"\n"+u.HomeDir+
		" nobody nobody /usr/sbin/nologin 1\n")
	for _, id := range []string{"4294967295:4294967295", "4294967295:0"} {
		// -1: "no change" to setresuid(2)
		refused(t, 125, "set user", "--user", id, "--", "sleep", "1000")
	}
}

// TestUserWeAre: to become who one is needs no privilege, whatever groups a container has given;
// anybody else does.
func TestUserWeAre(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		proctest.CheckLeaks(t)
		u, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		pid := detached(t, "--user", u.Username, "--", "sleep", "1000")
		groups, err := os.Getgroups()
		if err != nil {
			t.Fatal(err)
		}
		if s := proctest.Inspect(t, pid); s.UIDs[1] != os.Getuid() || s.GIDs[1] != os.Getgid() ||
			len(s.Groups) != len(groups) {
			t.Errorf("it is %v, %v, %v, and we are in %v", s.UIDs, s.GIDs, s.Groups, groups)
		}
		refused(t, 125, "operation not permitted", "--user", "daemon", "--", "sleep", "1000")
		refused(t, 125, "operation not permitted", "--user", u.Username+":daemon", "--",
			"sleep", "1000")
	})
}

// TestEnvironment: clean, from a file, and from the command line, which wins.
func TestEnvironment(t *testing.T) {
	proctest.CheckLeaks(t)
	file := writeFile(t, "env", "A=file\nB=\"two words\"\n# no C=\n", 0o600)
	cmd := daemonry.Command(t, "detach", "--clear-env", "--env-file", file, "--env", "A=line",
		"--env", "D=", "--", "sleep", "1000")
	cmd.Env = append(os.Environ(), "SECRET=1", "NOTIFY_SOCKET=/nowhere", "PATH="+os.Getenv("PATH"))
	r := finish(t, cmd)
	pid, err := strconv.Atoi(strings.TrimSpace(r.stdout))
	if err != nil {
		t.Fatalf("%+v", r)
	}
	proctest.KillAtEnd(t, pid)
	if got, want := proctest.Inspect(t, pid).Environ, []string{
		"A=line", "B=two words", "D=", "PATH=" + os.Getenv("PATH"),
	}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLockfile: the daemon holds it, the kernel lets go of it.
func TestLockfile(t *testing.T) {
	proctest.CheckLeaks(t)
	lock := filepath.Join(t.TempDir(), "lock")
	pid := detached(t, "--lockfile", lock, "--", "sleep", "1000")
	refused(t, 125, "lock file "+lock+": locked by another process\n", "--lockfile", lock, "--",
		"sleep", "1000")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, pid)
	detached(t, "--lockfile", lock, "--", "sleep", "1000")
}

// TestStranger: a pid file that names a living process that is not the daemon's is never believed,
// and the process never signalled.
func TestStranger(t *testing.T) {
	proctest.CheckLeaks(t)
	stranger := detached(t, "--", "sleep", "1000")
	for name, text := range map[string]string{
		"a number": fmt.Sprintf("%d\n", stranger), "ours": "",
		"the tests": fmt.Sprintf("%d\n", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "d.pid")
			if name == "ours" {
				// The file of a real daemon that was killed, with the stranger's pid put in.
				dead := detached(t, "--pidfile", pidFile, "--", "sleep", "1000")
				if err := syscall.Kill(dead, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				proctest.Gone(t, dead)
				text = fmt.Sprintf("%d\n", stranger)
			}
			if err := os.WriteFile(pidFile, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, verb := range [][]string{{"stop"}, {"signal", "TERM"}, {"signal", "0"}} {
				if r := run(t, append(verb, "--pidfile", pidFile)...); r.status == 0 {
					t.Errorf("%v: %+v", verb, r)
				}
			}
			if r := run(t, "status", "--pidfile", pidFile); r.status == 0 {
				t.Errorf("status: %+v", r)
			}
			if !proctest.Alive(stranger) {
				t.Fatal("the stranger is dead")
			}
		})
	}
}

// TestStartAgainAtOnce after kill -9, as often as one likes.
func TestStartAgainAtOnce(t *testing.T) {
	proctest.CheckLeaks(t)
	pidFile := filepath.Join(t.TempDir(), "d.pid")
	for range 20 {
		pid := detached(t, "--ready", "exec", "--pidfile", pidFile, "--", "sleep", "1000")
		if r := run(t, "detach", "--pidfile", pidFile, "--", "sleep", "1000"); r.status != 125 ||
			!strings.Contains(r.stderr, strconv.Itoa(pid)) {
			t.Errorf("a second one: %+v", r)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		proctest.Gone(t, pid)
	}
}
