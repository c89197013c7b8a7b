package probe

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lookAt is an Env with what there is now.
func lookAt(t *testing.T, c Check, env Env) Env {
	t.Helper()
	var err error
	if env.Seen, err = Look(c, env); err != nil {
		t.Fatal(err)
	}
	return env
}

func TestFile(t *testing.T) {
	c := ask(spec.ProbeFile, "ready")
	past := time.Now().Add(-time.Hour)
	for _, test := range []struct {
		name    string
		before  bool
		happens func(path string) error
		want    string
	}{
		{"nothing", false, func(string) error { return nil }, "does not exist"},
		{"created", false, func(p string) error { return os.WriteFile(p, nil, 0o600) }, ""},
		{"a directory", false, func(p string) error { return os.Mkdir(p, 0o700) }, ""},
		{"left behind", true, func(string) error { return nil },
			"is still the file from before the start"},
		{"left behind, other mode", true, func(p string) error { return os.Chmod(p, 0o640) },
			"is still the file from before the start"},
		{"removed", true, os.Remove, "does not exist"},
		{"written anew", true,
			func(p string) error { return os.WriteFile(p, []byte("old"), 0o600) }, ""},
		{"touched", true,
			func(p string) error { return os.Chtimes(p, time.Time{}, time.Now()) }, ""},
		{"replaced by its equal", true, func(p string) error {
			// As cp -p and mv do it: same text, same time, another inode.
			if err := os.WriteFile(p+".new", []byte("old"), 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(p+".new", past, past); err != nil {
				return err
			}
			return os.Rename(p+".new", p)
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "ready")
			if test.before {
				write(t, path, "old")
				if err := os.Chtimes(path, past, past); err != nil {
					t.Fatal(err)
				}
			}
			env := lookAt(t, c, Env{Dir: dir})
			if err := test.happens(path); err != nil {
				t.Fatal(err)
			}
			err := Once(within(t), c, env)
			if test.want == "" && err != nil ||
				test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestFileIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	c := ask(spec.ProbeFile, filepath.Join(dir, "run", "ready"))
	env := lookAt(t, c, Env{})
	ready := make(chan error, 1)
	go func() { ready <- Wait(within(t), c, env) }()
	if err := os.Mkdir(filepath.Dir(c.Target), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, c.Target, "")
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
}

func TestLookFails(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	_, err := Look(ask(spec.ProbeFile, loop), Env{})
	wantError(t, err, "look before the start")
	_, err = Look(ask(spec.ProbeLog, "x"), Env{Logs: []string{loop}})
	wantError(t, err, "look before the start")
	wantError(t, Once(within(t), ask(spec.ProbeFile, loop), Env{}),
		"too many levels of symbolic links")
}
