package hearing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/notify"
)

// TestNotifySocketIsHidden: whoever was not told where root's services speak cannot speak: the name
// is in no list that others can read, and it stays the same for those that outlive a supervisor.
func TestNotifySocketIsHidden(t *testing.T) {
	proctest.CheckLeaks(t)
	run, err := os.MkdirTemp("/tmp", "notify-") // short, and others may pass
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	if err := os.Chmod(run, 0o711); err != nil {
		t.Fatal(err)
	}
	open := func() *Hearing {
		h := New(Options{})
		if err := h.Open(run, 0); err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	path := h.Address()
	if name := filepath.Base(path); os.Geteuid() == 0 && len(name) != 2*nameBytes ||
		os.Geteuid() != 0 && name != plainName {
		t.Errorf("the socket is %s", path)
	}
	if list, err := os.ReadFile("/proc/net/unix"); err != nil ||
		os.Geteuid() == 0 && strings.Contains(string(list), path) {
		t.Errorf("/proc/net/unix tells where the socket is, or %v", err)
	}
	if fi, err := os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm()&0o044 != 0 {
		t.Errorf("others can list the directory: %v, %v", fi.Mode(), err)
	}
	send := func() {
		t.Helper()
		if sent, err := (notify.Client{Socket: path}).Ready(); err != nil || !sent {
			t.Errorf("who knows it cannot speak: %v", err)
		}
	}
	send()
	// Killed: the descriptor is gone, the name is not.
	if err := h.socket.File().Close(); err != nil {
		t.Fatal(err)
	}
	if h = open(); h.Address() != path {
		t.Errorf("the successor listens at %s, and those that live know %s", h.Address(), path)
	}
	send()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
