package readers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestText: a file of as many bytes as are allowed is read, one more is an error, and so is one
// that is not there or cannot be read.
func TestText(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	for size, want := range map[int]string{
		0: "", 1024: "", 1025: "read " + path + ": larger than 1KiB",
	} {
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := Text(path, 1024)
		if err == nil && len(text) != size || err == nil && want != "" ||
			err != nil && err.Error() != want {
			t.Errorf("%d bytes: %d read, %v", size, len(text), err)
		}
	}
	if _, err := Text(filepath.Join(dir, "none"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file that is not there:", err)
	}
	if _, err := Text(dir, 1); err == nil {
		t.Error("a directory was read")
	}
}
