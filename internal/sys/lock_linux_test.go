package sys

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openLockFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestLocks(t *testing.T) {
	for name, lock := range map[string]func(*os.File) error{"flock": TryFlock, "OFD": TryOFDLock} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			a, b := openLockFile(t, path), openLockFile(t, path)
			if held, err := LockedByOther(b); held || err != nil {
				t.Errorf("LockedByOther before: %v, %v", held, err)
			}
			for range 2 { // the second time through the same description
				if err := lock(a); err != nil {
					t.Fatal(err)
				}
			}
			if err := lock(b); !errors.Is(err, ErrLocked) {
				t.Errorf("second description: %v, want ErrLocked", err)
			}
			if held, err := LockedByOther(b); held != (name == "OFD") || err != nil {
				t.Errorf("LockedByOther = %v, %v", held, err)
			}
			if held, err := LockedByOther(a); held || err != nil {
				t.Errorf("LockedByOther of our own lock = %v, %v", held, err)
			}
			// The lock lives as long as a child has the descriptor.
			cmd := exec.Command("/bin/sleep", "1000")
			cmd.ExtraFiles = []*os.File{a}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			a.Close()
			if err := lock(b); !errors.Is(err, ErrLocked) {
				t.Errorf("while a child has the descriptor: %v, want ErrLocked", err)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if err := lock(b); err != nil {
				t.Errorf("after its end: %v", err)
			}
		})
	}
}

func TestSetModTime(t *testing.T) {
	f := openLockFile(t, filepath.Join(t.TempDir(), "f"))
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	want := time.Unix(1_000_000_000, 123_456_789)
	kept, err := SetModTime(f, f.Name(), want)
	if err != nil || !kept.Equal(want) {
		t.Errorf("SetModTime kept %v, %v; want %v", kept, err, want)
	}
	after, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	atime := func(fi os.FileInfo) syscall.Timespec { return fi.Sys().(*syscall.Stat_t).Atim }
	if atime(before) != atime(after) {
		t.Error("the access time changed as well")
	}
}

// Who looks for removed files opens nothing that is not one: a FIFO or a device would notice, and
// it may be anybody's.
func TestOpenUnlinkedLooksFirst(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "app.pid")
	other := openLockFile(t, filepath.Join(elsewhere, "other"))
	if err := TryOFDLock(other); err != nil {
		t.Fatal(err) // Linux 3.15
	}
	fifo := path + " (deleted)" // what /proc shows of a file that was removed
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	in, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	if _, err := unix.InotifyAddWatch(in, fifo, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	if list := OpenUnlinked(path, 10); len(list) != 0 {
		t.Errorf("found %d", len(list))
	}
	if n, err := unix.Read(in, make([]byte, 4096)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("the FIFO was opened: %d, %v", n, err)
	}
}
