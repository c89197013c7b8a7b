package sys

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

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
