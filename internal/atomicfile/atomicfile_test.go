package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// only checks that the directory holds these names and nothing else.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the directory holds %q, want %q", got, names)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, c := range []struct {
		data string
		perm fs.FileMode
	}{
		{"first", 0o644}, {"", 0o600}, {strings.Repeat("x", 1<<20), 0o666}, {"last", 0o400},
		{"after", 0o644},
	} {
		must(t, Write(path, []byte(c.data), c.perm))
		data, err := os.ReadFile(path)
		must(t, err)
		fi, err := os.Stat(path)
		must(t, err)
		if string(data) != c.data || fi.Mode() != c.perm {
			t.Errorf("%d bytes with mode %v, want %d with %v",
				len(data), fi.Mode(), len(c.data), c.perm)
		}
	}
	only(t, dir, "file")
	t.Chdir(dir)
	must(t, Write("plain", nil, 0o600))
	only(t, dir, "file", "plain")
	must(t, Write(filepath.Join(dir, strings.Repeat("n", 255)), nil, 0o600))
}

func TestWriteKeepsTheOtherHardLink(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o600))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	must(t, Write(filepath.Join(dir, "a"), []byte("new"), 0o600))
	if b, err := os.ReadFile(filepath.Join(dir, "b")); string(b) != "old" || err != nil {
		t.Errorf("the other link holds %q, %v", b, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "victim"), []byte("precious"), 0o600))
	must(t, os.Symlink("victim", filepath.Join(dir, "link")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	for name, says := range map[string]string{
		"link": "not a regular file", "dangling": "not a regular file", "sub": "not a regular file",
		"sub/":      "not a regular file",
		"none/file": "none/", "victim/file": "not a directory", "new/": "it is a directory",
	} {
		err := Write(dir+"/"+name, []byte("x"), 0o600)
		if err == nil || !strings.Contains(err.Error(), says) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
	only(t, dir, "dangling", "link", "sub", "victim")
	if b, err := os.ReadFile(filepath.Join(dir, "victim")); string(b) != "precious" || err != nil {
		t.Errorf("the link's target holds %q, %v", b, err)
	}
}

// Readers see one whole content or another, and no reader finds the file missing.
func TestWriteIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	contents := [][]byte{bytes.Repeat([]byte("a"), 10_000), bytes.Repeat([]byte("b"), 20_000)}
	must(t, Write(path, contents[0], 0o600))
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for range 10 {
				if err := Write(path, contents[i%2], 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		select {
		case <-done:
			only(t, filepath.Dir(path), "file")
			return
		default:
		}
	}
}

func TestMissingDirectoryIsNotExist(t *testing.T) {
	if err := Write(filepath.Join(t.TempDir(), "a", "b"), nil, 0o600); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("%v, want ErrNotExist", err)
	}
}
