package pidfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestRemoveDead(t *testing.T) {
	dir := t.TempDir()
	if err := RemoveDead(filepath.Join(dir, "absent")); err != nil {
		t.Errorf("absent: %v", err)
	}
	for _, content := range []string{"", "999999999\n"} {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := RemoveDead(path); err != nil {
			t.Errorf("content %q: %v", content, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("content %q: still there: %v", content, err)
		}
	}
}

func TestRemoveDeadLeavesTheLiving(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Acquire(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := RemoveDead(path); !errors.Is(err, ErrLocked) {
		t.Errorf("before the pid is written: %v, want ErrLocked", err)
	}
	if err := f.Write(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	var running *RunningError
	if err := RemoveDead(path); !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Errorf("while it runs: %v, want RunningError", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

func TestRemoveDeadLeavesWhatItDoesNotKnow(t *testing.T) {
	for _, content := range []string{"rubbish", "1\n"} { // process 1 lives
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := RemoveDead(path); err == nil {
			t.Errorf("content %q: removed", content)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}
