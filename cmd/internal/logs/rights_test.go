package logs

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/internal/sys"
)

// someGroup is a group other than ours that we may give files to, 0 if there is none.
func someGroup(t *testing.T) int {
	t.Helper()
	if os.Geteuid() == 0 {
		g, err := user.LookupGroup("adm")
		if err != nil {
			return 4242
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			t.Fatal(err)
		}
		return gid
	}
	return 0
}

// TestRights: log files are 0640 and their directories 0750 whatever the umask, the compressed ones
// too, and belong to the group that was asked for.
func TestRights(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		func() {
			dir := t.TempDir()
			defer syscall.Umask(syscall.Umask(umask))
			gid := someGroup(t)
			e, err := New(Options{Dir: filepath.Join(dir, "run"), Group: gid})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if gid == 0 {
				gid = os.Getegid()
			}
			r := &rig{e, dir}
			path := r.path("deep/er/a.log")
			s, w := r.open(t, "a",
				Config{Path: path, Rotate: Rotate{Size: 10, Keep: -1, Compress: layout.Gzip}})
			fmt.Fprintln(w, "first line\nsecond line")
			mustDrain(t, s)
			var list []layout.Rotated
			eventually(t, "the old file is compressed", func() bool {
				list, _ = layout.List(path)
				return len(list) == 1 && list[0].Compression == layout.Gzip
			})
			for name, want := range map[string]os.FileMode{
				path: 0o640, list[0].Path: 0o640, r.path("deep/er"): 0o750, r.path("deep"): 0o750,
				r.path(""): 0o750,
			} {
				fi, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				owner, _, err := sys.FileOwner(fi)
				if fi.Mode().Perm() != want || owner.UID != os.Geteuid() ||
					owner.GID != gid || err != nil {
					t.Errorf("umask %#o: %s: mode %#o, %+v, %v; want %#o and group %d",
						umask, name, fi.Mode().Perm(), owner, err, want, gid)
				}
			}
		}()
	}
}

// TestPlantedLinks: what somebody else could have put in the way of a log is not written to, not
// read, and not made directories by.
func TestPlantedLinks(t *testing.T) {
	r := newRig(t)
	secret := filepath.Join(r.dir, "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.path(""), 0o700); err != nil {
		t.Fatal(err)
	}
	plant := func(target, link string) {
		t.Helper()
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 { // somebody else's
			if err := os.Lchown(link, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := func(s *Stream, w *os.File) {
		t.Helper()
		fmt.Fprintln(w, "text")
		if err := s.Drain(); err == nil {
			t.Error("the log was written through a link")
		}
	}
	// In place of the log, whoever's link it is: rotation would rename the link.
	plant(secret, r.path("a.log"))
	refused(r.open(t, "a", Config{}))
	if b, err := os.ReadFile(secret); string(b) != "secret\n" || err != nil {
		t.Errorf("what the link leads to: %q, %v", b, err)
	}
	if err := os.Remove(r.path("a.log")); err != nil {
		t.Fatal(err)
	}
	// A FIFO would have us wait for its reader.
	if err := sys.MakeFIFO(r.path("fifo.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(r.open(t, "fifo", Config{}))
	if err := os.Remove(r.path("fifo.log")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return // an ordinary user cannot make a stranger's link
	}
	// On the way, with and without a directory to be made behind it.
	elsewhere := filepath.Join(r.dir, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	plant(elsewhere, r.path("way"))
	refused(r.open(t, "b", Config{Path: r.path("way/b.log")}))
	refused(r.open(t, "c", Config{Path: r.path("way/made/c.log")}))
	if left, err := os.ReadDir(elsewhere); len(left) > 0 || err != nil {
		t.Errorf("behind the link: %v, %v", left, err)
	}
	// In a stranger's directory nothing is made, for they could exchange it.
	if err := errors.Join(os.Mkdir(r.path("theirs"), 0o700),
		os.Lchown(r.path("theirs"), 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	refused(r.open(t, "d", Config{Path: r.path("theirs/made/d.log")}))
	// In place of a rotated file: it is neither compressed nor shown.
	rotated := r.path("e.log.20261121T024830.123456Z")
	plant(secret, rotated)
	if err := compress(rotated, layout.Gzip); !errors.Is(err, sys.ErrInsecure) {
		t.Errorf("compress: %v", err)
	}
	if _, err := layout.Open(rotated); !errors.Is(err, sys.ErrInsecure) {
		t.Errorf("open for reading: %v", err)
	}
	// or the engine's end would report what it cannot write
	for _, way := range []string{r.path("way"), rotated} {
		if err := os.Remove(way); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(r.path("theirs"), 0, 0); err != nil {
		t.Fatal(err)
	}
}
