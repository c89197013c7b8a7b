package detach_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// notifier sends each argument to NOTIFY_SOCKET, or sleeps as long as it says, and stays.
var notifier = proctest.Register("notifier", func(args []string) int {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, arg := range args {
		if d, err := time.ParseDuration(arg); err == nil {
			<-time.After(d)
			continue
		}
		if _, err := conn.Write([]byte(strings.ReplaceAll(arg, "SELF",
			strconv.Itoa(os.Getpid())))); err != nil {
			return 2
		}
	}
	<-time.After(time.Hour)
	return 0
})

// boaster says READY=1, and fails of what it loads then.
var boaster = proctest.Register("boaster", func([]string) int {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err == nil {
		_, err = conn.Write([]byte("READY=1"))
	}
	for end := time.Now().Add(time.Second / 2); err == nil && time.Now().Before(end); {
		_ = fmt.Sprint(end)
	}
	return 3
})

// server listens after a while on args[0] ("tcp" or "unix", and HTTP on it) at args[1].
var server = proctest.Register("server", func(args []string) int {
	<-time.After(50 * time.Millisecond)
	l, err := net.Listen(args[0], args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) != nil {
		return 1
	}
	return 0
})

// freePort is a port that nobody listens on at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestReady: each mode, of a daemon that becomes ready in that way.
func TestReady(t *testing.T) {
	dir := t.TempDir()
	addr, sock, up := freePort(t), filepath.Join(dir, "sock"), filepath.Join(dir, "up")
	webAddr := freePort(t)
	later := "sleep 0.05; touch " + up + "; echo started >&2; echo >&7; exec sleep 1000"
	for _, c := range []struct {
		ready string
		args  []string
	}{
		{"exec", []string{"sleep", "1000"}},
		{"settle:10ms", []string{"sleep", "1000"}},
		{"notify", []string{notifier.Path(t), "50ms", "STATUS=wait", "READY=1"}},
		{"fd:7", []string{"sh", "-c", later}},
		{"tcp:" + addr, []string{server.Path(t), "tcp", addr}},
		{"unix:" + sock, []string{server.Path(t), "unix", sock}},
		{"http:http://" + webAddr + "/", []string{server.Path(t), "tcp", webAddr}},
		{"cmd:test -e " + up + "2", []string{"sh", "-c",
			strings.Replace(strings.Replace(later, up, up+"2", 1), "echo >&7;", "", 1)}},
		{"log:^started$", []string{"sh", "-c", strings.Replace(later, "echo >&7;", "", 1)}},
		{"file:" + up + "3", []string{"sh", "-c",
			strings.Replace(strings.Replace(later, up, up+"3", 1), "echo >&7;", "", 1)}},
		// READY=1 counts, whatever was asked for.
		{"file:" + dir + "/never", []string{notifier.Path(t), "READY=1"}},
		{"tcp:" + freePort(t), []string{notifier.Path(t), "READY=1"}},
		{"fd:7", []string{notifier.Path(t), "READY=1"}},
		{"log:never", []string{notifier.Path(t), "READY=1"}},
	} {
		t.Run(c.ready[:min(len(c.ready), 12)]+"/"+filepath.Base(c.args[0]), func(t *testing.T) {
			proctest.CheckLeaks(t)
			log := filepath.Join(t.TempDir(), "log")
			pid := detached(t,
				append([]string{"--ready", c.ready, "--timeout", "20s", "--stderr", log, "--"},
					c.args...)...)
			if !proctest.Alive(pid) {
				t.Error("it is not alive")
			}
		})
	}
}

// TestSettledIsNotMerelySaid: READY=1 of a program that is to come to rest is not taken while it
// loads.
func TestSettledIsNotMerelySaid(t *testing.T) {
	proctest.CheckLeaks(t)
	refused(t, 3, "exited with status 3 before it was ready", "--ready", "settled", "--",
		boaster.Path(t))
	detached(t, "--ready", "settled:25s", "--timeout", "30s", "--", notifier.Path(t), "READY=1")
}

// soon is the time until ready of what is to miss it: the stages before the program are within it,
// and with the race detector on a busy machine they take a while.
const soon = "2s"

// TestNeverReady: the same modes of a daemon that does not: 124, and nothing is left of it.
func TestNeverReady(t *testing.T) {
	dir := t.TempDir()
	for _, ready := range []string{
		"notify", "fd:7", "tcp:" + freePort(t), "unix:" + dir + "/s",
		"http:http://" + freePort(t) + "/", "cmd:false", "log:never", "file:" + dir + "/never",
	} {
		t.Run(ready[:min(len(ready), 6)], func(t *testing.T) {
			proctest.CheckLeaks(t)
			log := filepath.Join(t.TempDir(), "log")
			refused(t, 124, "not ready within 2s", "--timeout", soon, "--ready", ready,
				"--stderr", log, "--", "sh", "-c", "(setsid sleep 1000 & sleep 1000 & sleep 1000)")
		})
	}
}

// TestExtendTimeout: a daemon that asks for more time gets it.
func TestExtendTimeout(t *testing.T) {
	proctest.CheckLeaks(t)
	pid := detached(t, "--timeout", soon, "--ready", "notify", "--", notifier.Path(t),
		"EXTEND_TIMEOUT_USEC=20000000", "2500ms", "READY=1")
	if !proctest.Alive(pid) {
		t.Error("it is not alive")
	}
}

// TestMainPID: another process of the daemon may be its main one; a stranger may not.
func TestMainPID(t *testing.T) {
	proctest.CheckLeaks(t)
	pidFile := filepath.Join(t.TempDir(), "d.pid")
	parent := filepath.Join(t.TempDir(), "parent")
	pid := detached(t, "--pidfile", pidFile, "--ready", "notify", "--", "sh", "-c",
		`echo $$ >$1; "$2" "MAINPID=SELF
READY=1" & wait`, "sh", parent, notifier.Path(t))
	if shell := readPID(t, parent); pid == shell || readPID(t, pidFile) != pid {
		t.Errorf("pid %d, of the shell %d, in the file %d", pid, shell, readPID(t, pidFile))
	}
	stranger := detached(t, "--ready", "notify", "--", notifier.Path(t),
		fmt.Sprintf("MAINPID=%d\nREADY=1", os.Getpid()))
	if stranger == os.Getpid() {
		t.Error("the tests are the daemon's main process")
	}
	if r := run(t, "stop", "--pidfile", pidFile); r.status != 0 {
		t.Errorf("%+v", r)
	}
}

// TestStrangerOnThePort is not taken for the daemon.
func TestStrangerOnThePort(t *testing.T) {
	proctest.CheckLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	args := []string{"--timeout", soon, "--ready", "tcp:" + addr, "--"}
	r := run(t, append(append([]string{"detach"}, args...), "sleep", "1000")...)
	if r.status == 0 || !strings.Contains(r.stderr, addr[len("127.0.0.1:"):]) {
		t.Errorf("a daemon that does not listen: %+v", r)
	}
	r = run(t, append(append([]string{"detach"}, args...), server.Path(t), "tcp", addr)...)
	if r.status == 0 {
		t.Errorf("a daemon that cannot listen: %+v", r)
	}
}

// TestInterrupted: the half-born daemon goes with the command, which ends as a shell would say it.
func TestInterrupted(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for _, ready := range []string{"notify", "settle:1h", "cmd:sleep 1000", "fd:9"} {
			t.Run(fmt.Sprintf("%d/%s", sig, ready), func(t *testing.T) {
				proctest.CheckLeaks(t)
				up := filepath.Join(t.TempDir(), "up")
				pidFile := filepath.Join(t.TempDir(), "d.pid")
				cmd := daemonry.Command(t, "detach", "--pidfile", pidFile, "--ready", ready,
					"--timeout", "5h", "--",
					"sh", "-c", "setsid sleep 1000 & sleep 1000 & touch "+up+"; exec sleep 1000")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				proctest.Eventually(t, time.Minute,
					func() error { _, err := os.Stat(up); return err })
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(sig) {
					t.Errorf("ended with %v", err)
				}
				if _, err := os.Stat(pidFile); err == nil {
					t.Error("the pid file is left")
				}
			})
		}
	}
}
