package pidfile

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// confined holds the file, loses the way to it or the right to remove it, and removes it.
func confined(args []string) error {
	f, err := Acquire(args[0], Options{})
	if err != nil {
		return err
	}
	if err := f.Write(os.Getpid()); err != nil {
		return err
	}
	if root := args[1]; root != "" {
		if err := syscall.Chroot(root); err != nil {
			return err
		}
	}
	if os.Getuid() == 0 {
		err = syscall.Setuid(nobody)
	} else {
		err = os.Chmod(filepath.Dir(args[0]), 0o555)
	}
	if err != nil {
		return err
	}
	fmt.Println("remove:", f.Remove())
	return nil
}

// TestWhatCannotBeRemovedSaysNothing: it is emptied, and what has its name in another root is not
// touched.
func TestWhatCannotBeRemovedSaysNothing(t *testing.T) {
	for _, there := range []string{"not permitted", "nothing", "another", "closed"} {
		t.Run(there, func(t *testing.T) {
			if there != "not permitted" && os.Getuid() != 0 {
				return // no other root for us; TestRemoveWhatWasMoved is much like it
			}
			path, root := newPath(t), ""
			if there != "not permitted" {
				root = t.TempDir()
				must(t, os.Chmod(root, 0o755))
			}
			inside := filepath.Join(root, path)
			switch there {
			case "another":
				must(t, os.MkdirAll(filepath.Dir(inside), 0o755))
				must(t, os.WriteFile(inside, []byte("1\n"), 0o644))
			case "closed":
				must(t, os.MkdirAll(inside, 0o755))
				must(t, os.Chmod(filepath.Dir(inside), 0o700))
			}
			p := start(t, "confined", []string{path, root})
			if got := p.line(t); got != "remove: <nil>" {
				t.Error(got)
			}
			wantState(t, path, Starting, "it is empty")
			p.kill()
			must(t, os.Chmod(filepath.Dir(path), 0o755))
			if got := content(t, path); got != "" {
				t.Errorf("content %q", got)
			}
			if i := wantState(t, path, Dead, "it is empty"); i.PID != 0 {
				t.Errorf("pid %d", i.PID)
			}
			if there == "another" {
				if got := content(t, inside); got != "1\n" {
					t.Errorf("what has its name: %q", got)
				}
			}
			f := acquired(t, path)
			must(t, f.Write(os.Getpid()))
			must(t, f.Remove())
			wantState(t, path, Absent, "")
		})
	}
}

// TestRemoveWhatWasMoved: what has its name now is another's, and its own says nothing.
func TestRemoveWhatWasMoved(t *testing.T) {
	path := newPath(t)
	f := acquired(t, path)
	must(t, f.Write(os.Getpid()))
	must(t, os.Rename(path, path+".old"))
	must(t, os.WriteFile(path, []byte("1\n"), 0o644))
	must(t, f.Remove())
	if mine, other := content(t, path+".old"), content(t, path); mine != "" || other != "1\n" {
		t.Errorf("its own says %q, the other one %q", mine, other)
	}
}

// TestRemoveDeadWhatStays: RemoveDead does as Remove.
func TestRemoveDeadWhatStays(t *testing.T) {
	path := newPath(t)
	p := start(t, "hold", []string{path})
	p.line(t)
	p.kill()
	must(t, os.Chmod(filepath.Dir(path), 0o555))
	must(t, RemoveDead(path))
	must(t, os.Chmod(filepath.Dir(path), 0o755))
	if b, err := os.ReadFile(path); err == nil && len(b) > 0 { // root may remove it all the same
		t.Errorf("content %q", b)
	}
}
