package paths

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

// TestNobodyIsNotTrusted: outside of user namespaces 65534 is a user like others, who can exchange
// what lies below a directory of his.
func TestNobodyIsNotTrusted(t *testing.T) {
	if os.Getuid() != 0 || sys.Unmapped(65534) {
		checkOwnRoot(t) // cannot give a directory away, or it would be nobody's
		return
	}
	theirs := filepath.Join(t.TempDir(), "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	p := Paths{
		Runtime: filepath.Join(theirs, "run"),
		State:   filepath.Join(theirs, "state"),
		Log:     filepath.Join(theirs, "log"),
	}
	if err := p.Create(nil); !errors.Is(err, sys.ErrInsecure) {
		t.Errorf("a directory of user 65534 was trusted: %v", err)
	}
}

func checkOwnRoot(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	p := Paths{
		Runtime: filepath.Join(dir, "run"),
		State:   filepath.Join(dir, "state"),
		Log:     filepath.Join(dir, "log"),
	}
	if err := p.Create(nil); err != nil {
		t.Error(err)
	}
}
