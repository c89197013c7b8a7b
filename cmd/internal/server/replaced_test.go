package server

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A control socket whose name is missing gets another one; that of a supervisor that is about to
// end is missing because it ends. No name is left then, whichever comes first.
func TestReplacedAtTheEnd(t *testing.T) {
	for range 50 {
		dir := shortDir(t)
		path := filepath.Join(dir, "control.sock")
		l, err := listenUnix(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		n, err := listenUnix(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if err := l.replace(n); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Fatalf("left: %v, %v", left, err)
		}
	}
}
