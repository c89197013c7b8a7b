package persist

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSavedForARequest: what is saved for a request stays until the owner has heard it, and then as
// long as it is in use.
func TestSavedForARequest(t *testing.T) {
	s := &Environments{Dir: filepath.Join(t.TempDir(), "environment")}
	vars := []string{"A=1", "B=2\n"}
	id := EnvironmentID(vars)
	used := func(by ...string) func() error {
		return func() error { return s.Sweep(func(id string) bool { return slices.Contains(by, id) }) }
	}
	save := func() error { return s.Save(id, vars) }
	there := func() bool {
		_, err := os.Lstat(filepath.Join(s.Dir, id))
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
	} {
		if err := step.do(); err != nil || there() != step.want {
			t.Errorf("%s: %v, there: %v", step.what, err, there())
		}
	}
}
