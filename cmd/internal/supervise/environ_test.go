package supervise

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSavedForARequest: what is saved for a request stays until the owner has heard it, and then as
// long as it is in use.
func TestSavedForARequest(t *testing.T) {
	s := &environments{dir: filepath.Join(t.TempDir(), environDir)}
	v := newEnvironment([]string{"A=1"})
	there := func() bool {
		_, err := os.Lstat(filepath.Join(s.dir, v.id))
		return err == nil
	}
	for _, step := range []struct {
		what string
		do   func() error
		want bool
	}{
		{"saved", func() error { return s.save(v) }, true},
		{"a state is written that is older than the request", func() error { return s.sweep(nil) }, true},
		{"it is in use", func() error { return s.sweep(map[string]*environment{v.id: v}) }, true},
		{"saved once more", func() error { return s.save(v) }, true},
		{"not in use, says an older state", func() error { return s.sweep(nil) }, true},
		{"in use", func() error { return s.sweep(map[string]*environment{v.id: v}) }, true},
		{"not in use any more", func() error { return s.sweep(nil) }, false},
	} {
		if err := step.do(); err != nil || there() != step.want {
			t.Errorf("%s: %v, there: %v", step.what, err, there())
		}
	}
}
