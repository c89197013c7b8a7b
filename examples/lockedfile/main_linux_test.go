package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

var lockedfile = proctest.Register("lockedfile", func([]string) int { main(); return 0 })

func TestLockIsNeverFree(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	file, pidFile := filepath.Join(dir, "journal"), filepath.Join(dir, "pid")

	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := lockedfile.Command(t, "-d", "-file", file, "-pid", pidFile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, pid)
	if err := syscall.Flock(int(f.Fd()),
		syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Errorf("the lock is free: %v", err)
	}
	out, err = lockedfile.Command(t, "-d", "-file", file).CombinedOutput()
	if err == nil ||
		!strings.Contains(string(out), "lock "+file+": resource temporarily unavailable") {
		t.Errorf("a second one: %v, %s", err, out)
	}

	i, err := daemonry.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if err := i.Stop(context.Background(), time.Minute); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(file)
	want := fmt.Sprintf("process %d begins\nprocess %d ends\n", pid, pid)
	if string(b) != want || err != nil {
		t.Errorf("journal %q, want %q, %v", b, want, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("the lock outlives the daemon: %v", err)
	}
	if _, err := os.Stat(pidFile); err == nil {
		t.Error("the pid file is left")
	}
}
