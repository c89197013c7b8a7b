package environ

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSavedForARequest: what is saved for a request stays until the owner has heard it, and then as
// long as it is in use.
func TestSavedForARequest(t *testing.T) {
	f := &files{dir: filepath.Join(t.TempDir(), "environment")}
	vars := []string{"A=1", "B=2\n"}
	id := idOf(text(vars))
	used := func(by ...string) func() error {
		return func() error {
			return f.sweep(func(id string) bool { return slices.Contains(by, id) })
		}
	}
	save := func() error { return f.save(id, vars) }
	there := func() bool {
		_, err := os.Lstat(filepath.Join(f.dir, id))
		return err == nil
	}
	for _, step := range []struct {
		what string
		do   func() error
		want bool
	}{
		{"saved", save, true},
		{"a state is written that is older than the request", used(), true},
		{"it is in use", used(id), true},
		{"saved once more", save, true},
		{"not in use, says an older state", used(), true},
		{"in use", used(id), true},
		{"not in use any more", used(), false},
		{"described again", save, true},
	} {
		if err := step.do(); err != nil || there() != step.want {
			t.Errorf("%s: %v, there: %v", step.what, err, there())
		}
	}
}

// What is read of an environment is what was written.
func TestEnvironment(t *testing.T) {
	f := &files{dir: filepath.Join(t.TempDir(), "environment")}
	for _, vars := range [][]string{nil, {"A=1"}, {"A=\n", "B="}} {
		id := idOf(text(vars))
		if err := f.save(id, vars); err != nil {
			t.Fatal(err)
		}
		got, err := f.load(id)
		if err != nil || !slices.Equal(got, vars) {
			t.Errorf("%q has become %q, %v", vars, got, err)
		}
		if err := os.WriteFile(filepath.Join(f.dir, id), []byte("A=2\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := f.load(id); err == nil || len(got) > 0 {
			t.Errorf("damaged: %q", got)
		}
	}
	if _, err := f.load("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
