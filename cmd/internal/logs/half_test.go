package logs

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
)

// What a compression that was killed has left goes when the log is opened next; other names stay.
func TestHalfCompressedIsRemoved(t *testing.T) {
	dir := t.TempDir()
	e, err := New(Options{Dir: dir + "/run"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := &rig{e, dir}
	path := r.path("a.log")
	half := layout.Name(path, time.Now()) + layout.Gzip.Ext() + layout.Tmp
	others := []string{path + layout.Tmp,
		layout.Name(r.path("b.log"), time.Now()) + layout.Gzip.Ext() + layout.Tmp}
	if err := os.MkdirAll(r.path(""), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(others, half) {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.open(t, "a", Config{Path: r.path("") + "/./a.log", Rotate: Rotate{Keep: -1}})
	eventually(t, "the half is gone", func() bool {
		_, err := os.Lstat(half)
		return errors.Is(err, fs.ErrNotExist)
	})
	for _, name := range others {
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
