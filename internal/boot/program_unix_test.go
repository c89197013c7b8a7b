//go:build unix

package boot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The name a program was started under is followed to its end, as package managers chain links.
func TestLeadsTo(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cellar := filepath.Join(base, "Cellar", "app")
	file := filepath.Join(cellar, "1.0", "app")
	err = errors.Join(
		os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("x"), 0o755),
		os.MkdirAll(base+"/bin", 0o755),
		os.Symlink("1.0", cellar+"/current"),
		os.Symlink("../Cellar/app/current/app", base+"/bin/app"),
		os.Symlink(base+"/bin", base+"/sbin"), os.Symlink("../nowhere", base+"/bin/dangling"),
		os.Symlink("loop", base+"/bin/loop"),
	)
	if err != nil {
		t.Fatal(err)
	}
	running, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what, name string, is bool) {
		t.Helper()
		if leadsTo(name, running) != is {
			t.Errorf("%s: %v", what, !is)
		}
	}
	name := base + "/bin/app"
	want("the file", file, true)
	want("a chain", name, true)
	want("a directory that is a link", base+"/sbin/app", true)
	want("by a detour", base+"/sbin/../Cellar/./app/current/app", true)
	want("nothing", "", false)
	want("a dead end", base+"/bin/dangling", false)
	want("a loop", base+"/bin/loop", false)
	want("another file", base+"/bin", false)
	if err := os.Chmod(cellar, 0o777); err != nil {
		t.Fatal(err)
	}
	want("a directory on the way that anybody may write to", name, false)
	if err := os.Chmod(cellar, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		return
	}
	for _, theirs := range []string{cellar + "/current", base + "/bin/app", cellar} {
		if err := os.Lchown(theirs, 65534, -1); err != nil {
			t.Fatal(err)
		}
		want("somebody else's "+theirs, name, false)
		if err := os.Lchown(theirs, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	want("all ours again", name, true)
}
