//go:build unix

package paths

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

func TestOf(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		uid  int
		want Paths
		err  error
	}{
		"root": {uid: 0, env: map[string]string{"HOME": "/root", "XDG_STATE_HOME": "/x",
			"XDG_RUNTIME_DIR": "/run/user/0"}, want: Paths{
			systemRuntime(), "/var/lib/daemonry", "/var/log/daemonry", "/etc/daemonry",
		}},
		"user with a session": {
			uid: 7, env: map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"},
			want: Paths{
				"/run/user/7/daemonry", "/h/.local/state/daemonry", "/h/.local/state/daemonry/log",
				"/h/.config/daemonry",
			},
		},
		"user without": {uid: 7, env: map[string]string{"HOME": "/h"}, want: Paths{
			"/tmp/daemonry-7", "/h/.local/state/daemonry", "/h/.local/state/daemonry/log",
			"/h/.config/daemonry",
		}},
		"another temporary directory": {
			uid: 7, env: map[string]string{"HOME": "/h", "TMPDIR": "/t"},
			want: Paths{
				"/t/daemonry-7", "/h/.local/state/daemonry", "/h/.local/state/daemonry/log",
				"/h/.config/daemonry",
			},
		},
		"user who says where": {
			uid: 7, env: map[string]string{"XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"},
			want: Paths{
				"/tmp/daemonry-7", "/s/daemonry", "/s/daemonry/log", "/c/daemonry",
			},
		},
		"relative is ignored": {uid: 7, env: map[string]string{"HOME": "/h", "XDG_STATE_HOME": "s",
			"XDG_RUNTIME_DIR": "r", "TMPDIR": "t"}, want: Paths{
			"/tmp/daemonry-7", "/h/.local/state/daemonry", "/h/.local/state/daemonry/log",
			"/h/.config/daemonry",
		}},
		"one root": {uid: 0, env: map[string]string{"DAEMONRY_ROOT": "/d/"},
			want: Paths{"/d/run", "/d/state", "/d/log", "/d/config"}},
		"no home": {uid: 7, err: errNoHome},
		"relative home": {uid: 7, env: map[string]string{"HOME": "h", "XDG_STATE_HOME": "/s"},
			err: errNoHome},
	} {
		got, err := Of(func(name string) string { return tt.env[name] }, tt.uid)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A relative root would lead to one place from here, and to another from where the supervisor or
// the next command is.
func TestRelativeRoot(t *testing.T) {
	for _, root := range []string{"d", "./d", "../d", "."} {
		got, err := Of(func(string) string { return root }, os.Geteuid())
		if want := strconv.Quote(root) + " is not an absolute path"; err == nil ||
			!strings.Contains(err.Error(), want) || got != (Paths{}) {
			t.Errorf("%s: %+v, %v", root, got, err)
		}
	}
}

func rooted(t *testing.T, root string) Paths {
	t.Helper()
	p, err := Of(func(name string) string { return map[string]string{"DAEMONRY_ROOT": root}[name] },
		os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode().Perm()
}

func TestCreate(t *testing.T) {
	t.Run("as we are", createAll)
	proctest.RunAs(t, "nobody", createAll)
}

func createAll(t *testing.T) {
	p := rooted(t, filepath.Join(t.TempDir(), "a", "b"))
	if err := p.Check(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	runtime, shared := fs.FileMode(0o700), fs.FileMode(0o750)
	// services that run as other users pass through, to the socket of sd_notify
	if os.Geteuid() == 0 {
		runtime, shared = 0o711, 0o751
	}
	for range 2 { // a second time nothing is to be done
		if err := p.Create(nil); err != nil {
			t.Fatal(err)
		}
		if r, s := mode(t, p.Runtime), mode(t, p.State); r != runtime || s != 0o700 {
			t.Errorf("modes: runtime %#o, want %#o; state %#o", r, runtime, s)
		}
		readers, gid := fs.FileMode(0o700), 0
		if g, err := user.LookupGroup("adm"); err == nil && os.Geteuid() == 0 {
			if gid, err = strconv.Atoi(g.Gid); err != nil {
				t.Fatal(err)
			}
			readers = 0o750
		}
		if m := mode(t, p.Log); m != readers {
			t.Errorf("%s: mode %#o, want %#o", p.Log, m, readers)
		}
		if have, err := p.LogGroup(); err != nil || have != gid {
			t.Errorf("the group of logs: %d, %v; want %d", have, err, gid)
		}
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.Config); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the configuration: %v", err)
	}
	// A log directory that somebody may read stays so; the runtime directory does not.
	if err := errors.Join(os.Chmod(p.Log, 0o755), os.Chmod(p.Runtime, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := p.Create(nil); err != nil {
		t.Fatal(err)
	}
	if l, r := mode(t, p.Log), mode(t, p.Runtime); l != 0o755 || r != runtime {
		t.Errorf("modes: log %#o, runtime %#o", l, r)
	}
	if err := p.Create(new(os.Getegid())); err != nil {
		t.Fatal(err)
	}
	if m := mode(t, p.Runtime); m != shared {
		t.Errorf("for a group: mode %#o", m)
	}
}

// What somebody else could have planted is refused and left alone. Who is not
// root cannot make a stranger's directory, and takes root's instead.
func TestPlanted(t *testing.T) {
	t.Run("as we are", planted)
	proctest.RunAs(t, "nobody", planted)
}

func planted(t *testing.T) {
	root := os.Geteuid() == 0
	for name, tt := range map[string]struct {
		plant func(t *testing.T, p *Paths) error
		want  string
		kind  error
	}{
		"writable to others": {
			func(_ *testing.T, p *Paths) error { return os.Chmod(p.Runtime, 0o777) },
			"lets others write", sys.ErrInsecure,
		},
		"writable to a group": {
			func(_ *testing.T, p *Paths) error { return os.Chmod(p.State, 0o770) },
			"lets others write", sys.ErrInsecure,
		},
		"a file": {func(_ *testing.T, p *Paths) error {
			return errors.Join(os.Remove(p.Runtime), os.WriteFile(p.Runtime, nil, 0o600))
		}, "is no directory", sys.ErrInsecure},
		"a FIFO": {func(_ *testing.T, p *Paths) error {
			// mkfifo(1): illumos has no syscall.Mkfifo
			return errors.Join(os.Remove(p.Runtime), exec.Command("mkfifo", p.Runtime).Run())
		}, "is no directory", sys.ErrInsecure},
		"a loose parent": {
			func(_ *testing.T, p *Paths) error { return os.Chmod(filepath.Dir(p.Runtime), 0o777) },
			"everybody can write", sys.ErrInsecure,
		},
		"somebody else's": {func(t *testing.T, p *Paths) error {
			if !root {
				p.State = "/usr" // root's
				return nil
			}
			return os.Chown(p.State, 1234, -1)
		}, "belongs to user", sys.ErrInsecure},
		"below somebody else's": {func(t *testing.T, p *Paths) error {
			if !root {
				p.Runtime = "/usr/daemonry"
				return nil
			}
			return os.Chown(filepath.Dir(p.Runtime), 1234, -1)
		}, map[bool]string{true: "above it belongs to user 1234", false: "permission denied"}[root],
			map[bool]error{true: sys.ErrInsecure, false: fs.ErrPermission}[root]},
		"somebody else's link": {func(t *testing.T, p *Paths) error {
			if !root {
				// our own link, to root's directory
				return errors.Join(os.Remove(p.Runtime), os.Symlink("/usr", p.Runtime))
			}
			other := t.TempDir()
			return errors.Join(os.Remove(p.Runtime), os.Symlink(other, p.Runtime),
				os.Lchown(p.Runtime, 1234, -1))
		}, map[bool]string{true: "is a link of user 1234", false: "belongs to user 0"}[root],
			sys.ErrInsecure},
	} {
		t.Run(name, func(t *testing.T) {
			p := rooted(t, filepath.Join(t.TempDir(), "root"))
			if err := p.Create(nil); err != nil {
				t.Fatal(err)
			}
			if err := tt.plant(t, &p); err != nil {
				t.Fatal(err)
			}
			if err := p.Create(nil); !errors.Is(err, tt.kind) ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: %v, want …%s…", err, tt.want)
			}
		})
	}
}

// A client does not talk to a socket in a stranger's directory, unless it is root.
func TestCheck(t *testing.T) {
	p := rooted(t, t.TempDir())
	if err := p.Create(nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.Runtime, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); !errors.Is(err, sys.ErrInsecure) {
		t.Errorf("writable to all: %v", err)
	}
	// A link of our own is followed: state may be moved to a larger disk.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := errors.Join(os.Chmod(p.Runtime, 0o700), os.Rename(p.Runtime, moved),
		os.Symlink(moved, p.Runtime)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Check(), p.Create(nil)); err != nil {
		t.Errorf("moved away: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(moved, 1234, -1); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Errorf("root may ask anybody's supervisor: %v", err)
	}
	if err := p.Create(nil); !errors.Is(err, sys.ErrInsecure) {
		t.Errorf("but not take it over: %v", err)
	}
}
