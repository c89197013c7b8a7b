package persist

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What is set aside is given once, for a full disk and nothing else, and set aside again when there
// is room.
func TestBallast(t *testing.T) {
	dir := t.TempDir()
	b := &Ballast{}
	b.Move(dir)
	there := func() bool {
		_, err := os.Lstat(filepath.Join(dir, ballastFile))
		return err == nil
	}
	if !there() || b.size != ballastMost {
		t.Fatalf("%d bytes are set aside", b.size)
	}
	if b.give(syscall.EIO) || b.give(nil) || !there() {
		t.Error("given for something else")
	}
	full, tries := fmt.Errorf("write: %w", syscall.ENOSPC), 0
	if err := b.spare(func() error {
		if tries++; tries == 1 {
			return full
		}
		return nil
	}); err != nil || tries != 2 || there() {
		t.Errorf("full: %v after %d tries", err, tries)
	}
	if b.give(full) {
		t.Error("given twice")
	}
	if err := b.fill(); err != nil || !there() || b.given {
		t.Errorf("room again: %v", err)
	}
	again := &Ballast{}
	if again.Move(dir); again.size != ballastMost || !again.give(full) {
		t.Error("one that is there is not known again")
	}
	none := &Ballast{}
	if err := none.spare(func() error { return full }); err != full || none.fill() != nil {
		t.Errorf("none: %v", err)
	}
}
