package logs

import (
	"path/filepath"
	"testing"
)

// TestWorkersApart holds up all workers that logs of this machine do not have: those logs are
// written all the same.
func TestWorkersApart(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	given := make(chan *worker)
	for range 3 * mostApart {
		go func() {
			w, err := r.workerApart()
			if err != nil {
				t.Error(err)
			}
			given <- w
		}()
	}
	seen := map[*worker]bool{}
	for range 3 * mostApart {
		seen[<-given] = true
	}
	if len(seen) != mostApart {
		t.Errorf("%d workers, not %d", len(seen), mostApart)
	}
	for w := range seen {
		w.post(func() { <-hang })
	}
	path := filepath.Join(t.TempDir(), "not", "yet", "log")
	if isApart(&Config{Path: path}) {
		t.Errorf("%s counts as somebody else's", path)
	}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		s, end := r.open(t, id, Config{Path: filepath.Join(t.TempDir(), id)})
		if _, err := end.WriteString("x\n"); err != nil {
			t.Error(err)
		}
		mustDrain(t, s)
	}
	close(hang)
}
