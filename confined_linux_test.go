package daemonry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/pidfile"
)

// TestEndOfAConfinedDaemon: a daemon that may not remove its pid file, or does not see it, leaves
// one that names nobody and keeps nobody out, when it ends as it should, and when it fails.
func TestEndOfAConfinedDaemon(t *testing.T) {
	root := openDir(t)
	confined := map[string][]string{
		"user": {"uid=65534"}, "root": {"chroot=" + root}, "both": {"uid=65534", "chroot=" + root},
	}
	if os.Getuid() != 0 {
		confined = map[string][]string{"closed": nil} // in effect, root's directory
	}
	for name, args := range confined {
		for do, want := range map[string]string{
			"release": "release: <nil>\n", "fail late": "broken\n",
		} {
			t.Run(fmt.Sprintf("%s/%s", name, do), func(t *testing.T) {
				proctest.CheckLeaks(t)
				dir := openDir(t)
				pidFile, log := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
				if name == "closed" {
					closeDir(t, dir, pidFile, log)
				}
				args := append([]string{"do=" + do, "pid=" + pidFile, "log=" + log}, args...)
				for range 2 { // the second finds what the first has left
					pid, _, stderr, _ := run(t, app.Command(t, args...))
					if pid == 0 {
						t.Fatal(stderr)
					}
					if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
						t.Fatal(err)
					}
					proctest.Gone(t, pid)
					b, err := os.ReadFile(log)
					if err != nil || !strings.HasSuffix(string(b), want) {
						t.Errorf("it says %q, %v", b, err)
					}
					i, err := pidfile.Find(pidFile)
					if err != nil {
						t.Fatal(err)
					}
					if i.State != pidfile.Dead || i.PID != 0 {
						t.Errorf("the pid file is %v, %d: %v", i.State, i.PID, i.Why)
					}
				}
			})
		}
	}
}

// TestReadyOfAConfinedDaemon: one that has given up the calls by which it would be let go, or
// heard, is not up, however often it says so.
func TestReadyOfAConfinedDaemon(t *testing.T) {
	proctest.CheckLeaks(t)
	for call, want := range map[string]string{
		"prctl":   "daemonry: let go of the launcher's watcher: ",
		"sendmsg": "daemonry: tell the launcher: ",
	} {
		log := filepath.Join(t.TempDir(), "log")
		pid, _, stderr, status := run(t, app.Command(t, "do=forbid:"+call, "log="+log))
		b, err := os.ReadFile(log)
		if err != nil || !strings.Contains(string(b), "first: "+want) ||
			!strings.Contains(string(b), "second: "+want) {
			t.Errorf("%s: it says %q, %v", call, b, err)
		}
		if pid != 0 || status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: the launcher: %d, %d, %s", call, pid, status, stderr)
		}
	}
}

// openDir is a directory that every user may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// closeDir makes empty files in a directory where nobody but root can make or remove any then.
func closeDir(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, file := range files {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	})
}
