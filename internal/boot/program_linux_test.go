package boot

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

// own prints what it takes for its program. With a name it first has that lead to something else.
var own = proctest.Register("own", func(args []string) int {
	if len(args) > 0 {
		if err := errors.Join(os.Remove(args[0]), os.Symlink("/bin/sh", args[0])); err != nil {
			fmt.Println(err)
		}
	}
	name, err := OwnProgram()
	fmt.Println(name, err)
	return 0
})

// A program that is started by way of a link is the link, as long as that leads to it.
func TestOwnProgram(t *testing.T) {
	program := own.Path(t)
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	link := filepath.Join(bin, filepath.Base(program))
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	run := func(dir, name string, env []string, args ...string) string {
		t.Helper()
		cmd := &exec.Cmd{
			Path: link,
			Args: append([]string{name}, args...),
			Dir:  dir,
			Env:  append(os.Environ(), env...),
		}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	base := filepath.Base(link)
	for _, c := range []struct{ dir, name, path, want string }{
		{"/", link, "", link},
		{bin, "./" + base, "", link},
		{"/", base, "/usr/bin:" + bin, link},
		{"/", base, "/usr/bin", real},
		{"/", "./" + base, "", real}, // the directory has changed since
		{"/", "no/such", "", real},
	} {
		env := []string{"PATH=" + c.path}
		if got := run(c.dir, c.name, env); got != c.want+" <nil>" {
			t.Errorf("%s in %s with PATH=%s: %q, want %q", c.name, c.dir, c.path, got, c.want)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(link, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if got := run("/", link, nil); got != real+" <nil>" {
			t.Errorf("a link of somebody else's: %q", got)
		}
	}
	if got := run("/", link, nil, link); got != real+" <nil>" {
		t.Errorf("a link that leads elsewhere by now: %q", got)
	}
}
