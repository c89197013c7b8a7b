package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMakeTrustedDir(t *testing.T) {
	dir := t.TempDir()
	made := func(name string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "closed"), 0o700) }) // for RemoveAll, which says if it matters
	keep := Owner{UID: -1, GID: -1}

	closed := made("closed", 0o311) // to be passed through, and not to be read
	for _, path := range []string{filepath.Join(closed, "a"), filepath.Join(closed, "a", "b")} {
		if err := MakeTrustedDir(path, 0o750, keep); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode() != fs.ModeDir|0o750 {
			t.Errorf("%v, %v", fi, err)
		}
	}
	for path, want := range map[string]error{
		filepath.Join(closed, "a"):                              fs.ErrExist,
		filepath.Join(dir, "missing", "a"):                      fs.ErrNotExist,
		filepath.Join(made("everybody's", 0o777), "a"):          ErrInsecure,
		filepath.Join(made("file", 0o700), "..", "f", "a"):      fs.ErrNotExist,
		filepath.Join("/proc/self/cmdline", "a"):                syscall.ENOTDIR,
		filepath.Join(made("sticky", fs.ModeSticky|0o777), "a"): nil,
	} {
		if err := MakeTrustedDir(path, 0o750, keep); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}
