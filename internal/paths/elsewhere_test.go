//go:build unix

package paths

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// A root that is refused has nothing in it afterwards that was not there before.
func TestRefusedLeavesNothing(t *testing.T) {
	loose := filepath.Join(t.TempDir(), "loose")
	if err := errors.Join(os.Mkdir(loose, 0o777), os.Chmod(loose, 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := rooted(t, filepath.Join(loose, "a", "b")).Create(nil); !errors.Is(err,
		sys.ErrInsecure) {
		t.Fatalf("created: %v", err)
	}
	if names, err := os.ReadDir(loose); err != nil || len(names) > 0 {
		t.Errorf("left in what everybody can write to: %v, %v", names, err)
	}
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, "run"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rooted(t, half).Create(nil); !errors.Is(err, sys.ErrInsecure) {
		t.Fatalf("created: %v", err)
	}
	if names, err := os.ReadDir(half); err != nil || len(names) != 1 {
		t.Errorf("left beside a file in the place of a directory: %v, %v", names, err)
	}
}

// user is where the directories of an ordinary user are that has no login's runtime directory.
func user7(t *testing.T) (p Paths, getenv func(string) string, uid int) {
	t.Helper()
	dir := t.TempDir()
	env := map[string]string{
		"HOME": filepath.Join(dir, "home"), "TMPDIR": filepath.Join(dir, "tmp"),
	}
	if err := os.Mkdir(env["TMPDIR"], 0o700); err != nil {
		t.Fatal(err)
	}
	getenv = func(name string) string { return env[name] }
	uid = os.Geteuid()
	p, err := ofUser(getenv, uid)
	if err != nil {
		t.Fatal(err)
	}
	return p, getenv, uid
}

func runtimes(list []Paths) (dirs []string) {
	for _, p := range list {
		dirs = append(dirs, p.Runtime)
	}
	return dirs
}

// Where somebody has taken the name of the runtime directory the supervisor goes into the state
// directory, says so, and is found.
func TestSquatted(t *testing.T) {
	t.Run("as we are", squatted)
	proctest.RunAs(t, "nobody", squatted)
}

func squatted(t *testing.T) {
	p, getenv, uid := user7(t)
	if err := p.CreateState(); err != nil {
		t.Fatal(err)
	}
	// as good as another user's directory, and an ordinary user can do it
	if err := os.WriteFile(p.Runtime, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	q, why, err := p.Settle(nil)
	if err != nil || why == nil || !strings.Contains(why.Error(), p.Runtime) ||
		q.Runtime != filepath.Join(p.State, "run") {
		t.Fatalf("%+v, %v, %v", q, why, err)
	}
	if dirs := runtimes(p.Places(getenv, uid)); !slices.Contains(dirs, q.Runtime) ||
		slices.Contains(dirs, p.Runtime) {
		t.Errorf("places: %v", dirs)
	}
	// Of a root that was named nothing is anywhere else.
	root := t.TempDir()
	named := rooted(t, root)
	if err := errors.Join(named.CreateState(),
		os.WriteFile(named.Runtime, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if q, why, err := named.Settle(nil); !errors.Is(err, sys.ErrInsecure) || why != nil {
		t.Errorf("%+v, %v, %v", q, why, err)
	}
}

// A copy of a root leads nobody to the supervisor whose copy it is.
func TestCopyRemembersNothing(t *testing.T) {
	original, copied := rooted(t, t.TempDir()), rooted(t, t.TempDir())
	if err := errors.Join(original.Create(nil), copied.Create(nil),
		original.Remember()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(original.State, pointerFile))
	if err := errors.Join(err,
		os.WriteFile(filepath.Join(copied.State, pointerFile), data, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(original.Runtime, "journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(string) string { return "" }
	if dirs := runtimes(copied.Places(getenv, os.Geteuid())); slices.Contains(dirs,
		original.Runtime) {
		t.Errorf("places: %v", dirs)
	}
	if q, why, err := copied.Settle(nil, "journal"); err != nil || why != nil || q != copied {
		t.Errorf("settles in %+v, %v, %v", q, why, err)
	}
}

// A supervisor that was killed is followed where it was, whatever the environment says now: what is
// known of its services is there.
func TestRemembered(t *testing.T) {
	p, getenv, uid := user7(t)
	login := p
	login.Runtime = filepath.Join(t.TempDir(), "login", "daemonry")
	if err := login.Create(nil); err != nil {
		t.Fatal(err)
	}
	if err := login.Remember(); err != nil {
		t.Fatal(err)
	}
	if dirs := runtimes(p.Places(getenv, uid)); !slices.Contains(dirs, login.Runtime) {
		t.Errorf("places: %v", dirs)
	}
	if q, why, err := p.Settle(nil, "journal"); err != nil || why != nil || q.Runtime != p.Runtime {
		t.Errorf("nothing is left there: %+v, %v, %v", q, why, err)
	}
	if err := os.WriteFile(filepath.Join(login.Runtime, "journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if q, why, err := p.Settle(nil, "journal"); err != nil || why != nil ||
		q.Runtime != login.Runtime {
		t.Errorf("a journal is left there: %+v, %v, %v", q, why, err)
	}
	if err := os.RemoveAll(filepath.Dir(login.Runtime)); err != nil {
		t.Fatal(err)
	}
	if q, why, err := p.Settle(nil, "journal"); err != nil || why != nil || q.Runtime != p.Runtime {
		t.Errorf("it is gone: %+v, %v, %v", q, why, err)
	}
	for _, text := range []string{"", "relative\n", "/cut", "/two\n/lines\n"} {
		err := os.WriteFile(filepath.Join(p.State, pointerFile), []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if dir := p.remembered(); dir != "" {
			t.Errorf("%q says %q", text, dir)
		}
	}
}

// Directories for who can write nowhere else are found without a home and without a state
// directory.
func TestTemporary(t *testing.T) {
	_, getenv, uid := user7(t)
	q, root, err := Paths{Config: "/c"}.Temporary(getenv, nil)
	if err != nil || !strings.HasPrefix(root, getenv("TMPDIR")) || q.Config != "/c" {
		t.Fatalf("%+v, %s, %v", q, root, err)
	}
	if list := (Paths{}).Places(getenv, uid); !slices.Contains(runtimes(list), q.Runtime) {
		t.Errorf("places: %v", runtimes(list))
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(getenv("TMPDIR"))); err != nil {
		t.Fatal(err)
	}
	if q, root, err = (Paths{}).Temporary(getenv, nil); err != nil &&
		!errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the first of them: %v", err)
	}
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(root) })
	}
}
