package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/upgrade"
)

// startIn starts a server by a relative path in a directory of its own, where it reads a file by a
// relative path before all else.
func startIn(t *testing.T, args ...string) (r *running, dir string) {
	t.Helper()
	r = prepare(t)
	dir, err := filepath.EvalSymlinks(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "start")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.conf"), []byte("first"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r.stderr, err = os.Create(filepath.Join(r.dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stderr.Close() })
	cmd := exec.Command(r.program, r.args(append([]string{"-early", "c.conf"}, args...))...)
	cmd.Path, cmd.Dir = "../proctest-server", dir
	cmd.Args[0] = cmd.Path
	r.run(cmd)
	return r, dir
}

func (r *running) where(want string) {
	r.t.Helper()
	if got := r.get("/where"); got != want+" <nil>" {
		r.t.Errorf("%q, want %q", got, want)
	}
}

// TestRelativePaths: each successor begins where the first process was started, also when that
// directory has another name by then, and goes on where its predecessor is.
func TestRelativePaths(t *testing.T) {
	for _, keep := range []string{"-keep=false", "-keep"} {
		t.Run(keep, func(t *testing.T) {
			proctest.CheckLeaks(t)
			r, dir := startIn(t, keep)
			r.where("read first, now in " + dir)
			r.upgrade()
			r.where("read first, now in " + dir)
			r.get("/chdir?/")
			r.upgrade()
			r.where("read first, now in /")
			if err := os.Rename(dir, dir+"ed"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"ed/c.conf", []byte("second"), 0o644); err != nil {
				t.Fatal(err)
			}
			r.upgrade()
			r.where("read second, now in /")
			r.get("/chdir?" + r.dir)
			r.install()
			r.upgrade()
			r.where("read second, now in " + r.dir)
			before := len(proctest.Inspect(t, r.pid()).FDs)
			r.upgrade()
			proctest.Eventually(t, patience, func() error {
				if n := len(proctest.Inspect(t, r.pid()).FDs); n > before {
					return fmt.Errorf("%d descriptors after %d", n, before)
				}
				return nil
			})
			if err := os.RemoveAll(dir + "ed"); err != nil {
				t.Fatal(err)
			}
			if _, err := r.try("/upgrade"); err == nil ||
				!strings.Contains(err.Error(), "open c.conf: no such file or directory") {
				t.Errorf("the file is gone: %v", err)
			}
			r.where("read second, now in " + r.dir)
		})
	}
}

// TestRelativePathsDetached: so does that of a daemon, which is in "/" from Detach on, and the
// program is still known by the name under which it was started: a link that is switched.
func TestRelativePathsDetached(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	if err := os.WriteFile(filepath.Join(r.dir, "c.conf"), []byte("config"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(r.dir, "current")
	if err := os.Symlink(r.program, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(r.program, r.args([]string{"-early", "c.conf",
		"-detach", filepath.Join(r.dir, "pid"), "-log", filepath.Join(r.dir, "log")})...)
	cmd.Path, cmd.Dir = "./current", r.dir
	cmd.Args[0] = cmd.Path
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.killAtEnd()
	r.where("read config, now in /")
	for i := range 3 {
		r.install()
		version := filepath.Join(r.dir, strconv.Itoa(i))
		next := filepath.Join(version, filepath.Base(r.program))
		if err := errors.Join(os.Mkdir(version, 0o755), os.Rename(r.program, next),
			os.Remove(link), os.Symlink(next, link)); err != nil {
			t.Fatal(err)
		}
		pid := r.upgrade()
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || exe != next {
			t.Errorf("executes %q, %v", exe, err)
		}
		r.where("read config, now in /")
	}
}

// TestDirectoryGone: that it is deleted is no matter to who needs nothing there.
func TestDirectoryGone(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	dir := filepath.Join(r.dir, "start")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.stderr, err = os.Create(filepath.Join(r.dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stderr.Close() })
	cmd := exec.Command(r.program, r.args(nil)...)
	cmd.Dir = dir
	r.run(cmd)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	r.upgrade()
	r.get("/chdir?/")
	r.upgrade()
	r.where("read , now in /")
}

// caged changes its root, by Detach and in this order with New, and says so.
var caged = proctest.Register("caged", func(args []string) int {
	steps := map[string]func() error{
		"detach": func() error {
			_, err := daemonry.Detach(context.Background(),
				daemonry.Options{Foreground: true, Chroot: args[2]})
			return err
		},
		"new": func() error {
			_, err := upgrade.New(upgrade.Options{Program: "/inside"})
			return err
		},
	}
	for _, step := range args[:2] {
		if err := steps[step](); err != nil {
			fmt.Println(err)
			return 0
		}
	}
	fmt.Println("caged")
	time.Sleep(time.Hour)
	return 0
})

// TestNoWayOut: no descriptor of a directory outside of a new root is kept.
func TestNoWayOut(t *testing.T) {
	for _, order := range [][]string{{"detach", "new"}, {"new", "detach"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			proctest.CheckLeaks(t)
			root := t.TempDir()
			cmd := caged.Command(t, append(order, root)...)
			cmd.Dir = filepath.Dir(root)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			line := make([]byte, 1<<10)
			n, err := out.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			if os.Getuid() != 0 {
				if !strings.Contains(string(line[:n]), "operation not permitted") {
					t.Errorf("%s", line[:n])
				}
				return
			}
			if string(line[:n]) != "caged\n" {
				t.Fatalf("%s", line[:n])
			}
			for fd := range proctest.Inspect(t, cmd.Process.Pid).FDs {
				name := fmt.Sprintf("/proc/%d/fd/%d", cmd.Process.Pid, fd)
				info, err := os.Stat(name)
				if err != nil || !info.IsDir() {
					continue
				}
				if inside, err := os.Stat(root); err != nil || !os.SameFile(info, inside) {
					t.Errorf("descriptor %d is a directory outside: %v", fd, err)
				}
			}
		})
	}
}

// TestDirectoryClosed: a directory that this user must not enter, as root's own may be for a
// program that root has started, is no obstacle.
func TestDirectoryClosed(t *testing.T) {
	server.Path(t)
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		proctest.CheckLeaks(t)
		r := prepare(t)
		dir := filepath.Join(r.dir, "start")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if r.stderr, err = os.Create(filepath.Join(r.dir, "stderr")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.stderr.Close() })
		script := []string{"-c", `chmod 0 . && exec "$@"`, "sh", r.program}
		cmd := exec.Command("/bin/sh", append(script, r.args(nil)...)...)
		cmd.Dir = dir
		r.run(cmd)
		r.upgrade()
		r.upgrade()
	})
}

// TestDirectoryOfRoot: so it is for a program that has read its configuration as root, in a
// directory of root's, and is another user since.
func TestDirectoryOfRoot(t *testing.T) {
	if os.Getuid() != 0 {
		TestDirectoryClosed(t) // which it comes to
		return
	}
	proctest.CheckLeaks(t)
	r := prepare(t)
	for _, dir := range []string{r.dir, filepath.Dir(r.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(r.dir, "closed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.stderr, err = os.Create(filepath.Join(r.dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stderr.Close() })
	cmd := exec.Command(r.program,
		r.args([]string{"-nobody", "-detach", filepath.Join(r.dir, "pid")})...)
	cmd.Dir = dir
	r.run(cmd)
	r.upgrade()
	r.upgrade()
	r.where("read , now in /")
}
