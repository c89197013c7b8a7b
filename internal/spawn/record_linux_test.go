package spawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// recorder starts a daemon, says so in the file args[0] or, with "silent", not, and waits to be
// killed; with "release" it lets it go before. args[2] is the daemon's root.
var recorder = proctest.Register("recorder", func(args []string) int {
	file, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return 1
	}
	s := shell("exec sleep 1000")
	s.Record, s.Chroot = &Record{File: file, Path: args[0]}, args[2]
	l, err := Detach(context.Background(), s)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if args[1] != "silent" {
		if _, err := fmt.Fprintln(file, l.PID); err != nil {
			return 1
		}
	}
	if args[1] == "release" && l.Release() != nil {
		return 1
	}
	if err := os.WriteFile(args[0]+".up", []byte(strconv.Itoa(l.PID)), 0o600); err != nil {
		return 1
	}
	time.Sleep(time.Hour)
	return 0
})

// TestRecordOfALaunch: a file in which a launcher says whom it has started says nothing when the
// launcher was killed, and is removed. It stays what it was if it was not written to, and no other
// file of that name is touched.
func TestRecordOfALaunch(t *testing.T) {
	for _, c := range []struct {
		how, before, want string // "-": no file
	}{
		{"written", "", "-"},
		{"written", "a stale one\n", "-"},
		{"silent", "", "-"},
		{"silent", "of somebody else\n", "of somebody else\n"},
		{"exchanged", "", "a stranger's\n"},
		{"release", "", "the pid"},
	} {
		for i, root := range rootDirs(t) {
			t.Run(fmt.Sprintf("%s over %q/%d", c.how, c.before, i), func(t *testing.T) {
				proctest.CheckLeaks(t)
				path := filepath.Join(t.TempDir(), "pid")
				pid := killRecorder(t, path, c.how, c.before, root)
				if c.how == "release" {
					c.want = strconv.Itoa(pid) + "\n"
				}
				wantFile(t, path, c.want)
				if c.how == "exchanged" {
					wantFile(t, path+".old", "")
				}
			})
		}
	}
	t.Run("in a directory that is not ours to change", func(t *testing.T) {
		proctest.RunAs(t, "nobody", func(t *testing.T) {
			proctest.CheckLeaks(t)
			dir := t.TempDir()
			path := filepath.Join(dir, "pid")
			must(t, os.WriteFile(path+".up", nil, 0o600))
			killRecorder(t, path, "closed", "", "")
			must(t, os.Chmod(dir, 0o755))
			wantFile(t, path, "")
		})
	})
}

// killRecorder runs the recorder on the file, kills it, and returns when its watcher is gone.
func killRecorder(t *testing.T, path, how, before, root string) (pid int) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(before), 0o644))
	if how == "closed" {
		must(t, os.Chmod(filepath.Dir(path), 0o555))
	}
	cmd := recorder.Command(t, path, how, root)
	must(t, cmd.Start())
	proctest.Eventually(t, time.Minute, func() error {
		b, err := os.ReadFile(path + ".up")
		if err == nil {
			pid, err = strconv.Atoi(string(b))
		}
		return err
	})
	if how == "release" {
		proctest.KillAtEnd(t, pid)
	}
	watcher := proctest.Inspect(t, pid).SID
	if how == "exchanged" {
		must(t, os.Rename(path, path+".old"))
		must(t, os.WriteFile(path, []byte("a stranger's\n"), 0o644))
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	proctest.Gone(t, watcher)
	if how != "release" && proctest.Alive(pid) {
		t.Errorf("process %d is alive", pid)
	}
	return pid
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	got := string(b)
	if errors.Is(err, fs.ErrNotExist) {
		got = "-"
	}
	if got != want {
		t.Errorf("%s: %q, %v, want %q", path, got, err, want)
	}
}
