package pidfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

// asRoot reports whether the test can play two users. The tests that need it
// run as root; an ordinary user's view is among the things they look at.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("only root can play two users")
	}
	return os.Getuid() == 0
}

func wantInsecure(t *testing.T, path, says string) {
	t.Helper()
	_, findErr := Find(path)
	_, acquireErr := Acquire(path, Options{})
	for what, err := range map[string]error{"Find": findErr, "Acquire": acquireErr} {
		if !errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), says) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want ErrInsecure and %q", what, err, says)
		}
	}
}

func TestPlantedLink(t *testing.T) {
	if !asRoot(t) {
		return
	}
	tmp := filepath.Join(filepath.Dir(newPath(t)), "tmp")
	must(t, os.Mkdir(tmp, 0))
	must(t, os.Chmod(tmp, 0o777|fs.ModeSticky))
	victim := newPath(t)
	must(t, os.WriteFile(victim, []byte("precious\n"), 0o644))
	for name, target := range map[string]string{
		"app.pid": victim, "dangling": filepath.Dir(victim) + "/new",
	} {
		path := filepath.Join(tmp, name)
		must(t, os.Symlink(target, path))
		must(t, os.Lchown(path, nobody, nobody))
		wantInsecure(t, path, fmt.Sprintf("%s is a symbolic link owned by user %d", path, nobody))
	}
	if got := content(t, victim); got != "precious\n" {
		t.Errorf("the link's target holds %q", got)
	}
	if _, err := os.Lstat(filepath.Dir(victim) + "/new"); err == nil {
		t.Error("a file was created through a planted link")
	}
	// Their file under our name: neither taken nor believed.
	path := filepath.Join(tmp, "theirs.pid")
	recorded(t, path, os.Getpid())
	must(t, os.Chown(path, nobody, nobody))
	if _, err := Acquire(path, Options{}); !errors.Is(err, ErrInsecure) {
		t.Errorf("Acquire of another user's file: %v", err)
	}
}

func TestHardLink(t *testing.T) {
	path := newPath(t)
	recorded(t, path, os.Getpid())
	must(t, os.Link(path, path+".2"))
	wantInsecure(t, path, "2 hard links")
}

func TestWritableByOthers(t *testing.T) {
	for _, mode := range []fs.FileMode{0o666, 0o664, 0o646} {
		path := newPath(t)
		recorded(t, path, os.Getpid())
		must(t, os.Chmod(path, mode))
		wantInsecure(t, path, fmt.Sprintf("mode %04o lets others write", mode))
	}
}

// A file that belongs to an ordinary user is believed about what that user
// could signal himself, and about nothing else: else he could have root kill for him.
func TestFileOfAnotherUser(t *testing.T) {
	if !asRoot(t) {
		return
	}
	for who, change := range map[string]func(*exec.Cmd){
		"theirs": asNobody, "root's": func(*exec.Cmd) {},
	} {
		path := newPath(t)
		p := start(t, "sleep", nil, change)
		p.line(t)
		f, err := Acquire(path, Options{Owner: &Owner{UID: nobody, GID: nobody}})
		must(t, err)
		must(t, errors.Join(f.Write(p.Process.Pid), f.Close()))
		fi, err := os.Stat(path)
		must(t, err)
		if owner, _, err := sys.FileOwner(fi); err != nil ||
			owner != (sys.Owner{UID: nobody, GID: nobody}) {
			t.Errorf("owner %v, %v", owner, err)
		}
		if who == "theirs" {
			wantState(t, path, Running, "")
		} else if i := wantState(t, path, Unproven,
			"user 65534 owns the file, but process"); !errors.Is(i.Why, ErrInsecure) {
			t.Errorf("%v, want ErrInsecure", i.Why)
		}
		if _, err := Acquire(path, Options{}); !errors.Is(err, ErrInsecure) {
			t.Errorf("Acquire without naming the owner: %v", err)
		}
	}
}

// As an ordinary user: root's daemon is seen to run, is not signalled, and its
// file is neither taken nor deleted.
func TestAnotherUsersView(t *testing.T) {
	if !asRoot(t) {
		return
	}
	path := newPath(t)
	f := acquired(t, path)
	must(t, f.Write(os.Getpid()))
	p := start(t, "find", []string{path}, asNobody)
	got := strings.Replace(p.line(t), ": kill: ", ": pidfd_send_signal: ", 1) // before Linux 5.3
	want := fmt.Sprintf("running %d|<nil>|signal: signal process %d: pidfd_send_signal: "+
		"operation not permitted|acquire: pid file %s: open %s: permission denied",
		os.Getpid(), os.Getpid(), path, path)
	if got != want {
		t.Errorf("nobody sees %s\nwant        %s", got, want)
	}
	wantState(t, path, Running, "")
	// Process 1 in a file that nobody wrote: alive, and not believed.
	must(t, os.WriteFile(path+".1", []byte("1\n"), 0o644))
	p = start(t, "find", []string{path + ".1"}, asNobody)
	if got := p.line(t); !strings.HasPrefix(got, "unproven 1|") {
		t.Errorf("nobody sees of process 1: %s", got)
	}
	_ = content(t, path+".1")
}

// The launcher is root, the daemon is not: it adopts the lock, but may not set
// the time of a file of root. That is reported, and the pid is there.
func TestDaemonThatDroppedRoot(t *testing.T) {
	if !asRoot(t) {
		return
	}
	path := newPath(t)
	f := acquired(t, path)
	p := start(t, "adopt", []string{path}, asNobody,
		func(c *exec.Cmd) { c.ExtraFiles = []*os.File{f.File()} })
	if got := p.line(t); !strings.Contains(got, ErrNoFingerprint.Error()) ||
		!strings.Contains(got, "not permitted") {
		t.Errorf("the daemon's Write: %s", got)
	}
	p.pid(t)
	wantState(t, path, Running, "") // by the lock, which it has
	must(t, f.Write(p.Process.Pid)) // what the launcher does
	must(t, f.Close())
	wantState(t, path, Running, "")
	wantRunning(t, path, p.Process.Pid)
}

func TestNoRightInDirectory(t *testing.T) {
	path := newPath(t)
	if os.Getuid() == 0 {
		p := start(t, "hold", []string{path}, asNobody)
		if got, want := p.line(t), fmt.Sprintf("error: pid file %s: open %s: permission denied",
			path, path); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		return
	}
	must(t, os.Chmod(filepath.Dir(path), 0o500))
	if _, err := Acquire(path, Options{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v, want EACCES", err)
	}
}

// tmpfs is also where /run is; the other tests run on the file system of the temporary directory.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := filepath.Dir(newPath(t))
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return filepath.Join(dir, "app.pid")
}

func TestFullDisk(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		path := tmpfs(t, "size=64k,mode=755")
		f := acquired(t, path)
		filler := filepath.Join(filepath.Dir(path), "filler")
		if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err,
			syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
		if err := f.Write(os.Getpid()); !errors.Is(err, syscall.ENOSPC) ||
			!strings.Contains(err.Error(), "write ") {
			t.Errorf("Write: %v, want ENOSPC", err)
		}
		if got := content(t, path); got != "" {
			t.Errorf("half-written: %q", got)
		}
		wantState(t, path, Starting, "empty")
		must(t, os.Remove(filler))
		must(t, f.Write(os.Getpid()))
		wantState(t, path, Running, "")
		must(t, f.Close())
		// stale, and emptied by a Write that fails
		must(t, os.WriteFile(path, []byte("1\n"), 0o644))
		f = acquired(t, path)
		_ = os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		must(t, f.put(""))
		_ = os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		if err := f.Write(os.Getpid()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Write: %v, want ENOSPC", err)
		}
		must(t, f.Remove())
		wantState(t, path, Absent, "")
	})
}

func TestNoInodesAndReadOnly(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		path := tmpfs(t, "nr_inodes=2,mode=755")
		must(t, os.WriteFile(path, nil, 0o644))
		if _, err := Acquire(path+".2", Options{}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("without inodes: %v, want ENOSPC", err)
		}
		recorded(t, path, os.Getpid())
		must(t, syscall.Mount("", filepath.Dir(path), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		for _, p := range []string{path, path + ".2"} {
			if _, err := Acquire(p, Options{}); !errors.Is(err, syscall.EROFS) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%s on a read-only file system: %v, want EROFS", p, err)
			}
		}
		wantState(t, path, Running, "")
	})
}

// A file system with times in whole seconds: ext2 with the small inodes of old.
func TestFileSystemWithoutNanoseconds(t *testing.T) {
	if !asRoot(t) {
		return
	}
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("mke2fs is not installed")
	}
	inOwnMounts(t, func(t *testing.T) {
		path := newPath(t)
		image := filepath.Join(t.TempDir(), "image")
		for _, command := range [][]string{
			{"mke2fs", "-q", "-t", "ext2", "-I", "128", image, "256k"},
			{"mount", "-o", "loop", image, filepath.Dir(path)},
		} {
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v %s", command, err, out)
			}
		}
		t.Cleanup(func() { _ = syscall.Unmount(filepath.Dir(path), 0) })
		f := acquired(t, path)
		if err := f.Write(os.Getpid()); !errors.Is(err, ErrNoFingerprint) ||
			!strings.Contains(err.Error(), "the file system rounded") {
			t.Errorf("Write: %v, want ErrNoFingerprint", err)
		}
		if got := content(t, path); got != fmt.Sprintf("%d\n", os.Getpid()) {
			t.Errorf("content %q", got)
		}
		wantState(t, path, Unproven, "nothing proves")
		if _, err := Acquire(path, Options{}); !errors.Is(err, ErrLocked) {
			t.Errorf("the lock works all the same: %v", err)
		}
		must(t, f.Remove())
		must(t, f.Close())
	})
}

// With /proc hidden, an ordinary user cannot tell who a process of root is: he
// says so, and neither believes the file nor takes it over.
func TestHidepid(t *testing.T) {
	if !asRoot(t) {
		return
	}
	inOwnMounts(t, func(t *testing.T) {
		must(t, syscall.Mount("proc", "/proc", "proc", 0, "hidepid=2"))
		path := newPath(t)
		recorded(t, path, os.Getpid())
		must(t, os.Chown(path, nobody, nobody))
		p := start(t, "find", []string{path}, asNobody)
		got := p.line(t)
		for _, want := range []string{
			"unproven", sys.ErrHidden.Error(), "signal: pid file",
			"acquire: pid file " + path + ": cannot tell whether process",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("under hidepid: %s\nwant %q", got, want)
			}
		}
		// Of one's own processes everything can be told.
		must(t, os.Remove(path))
		must(t, os.Chmod(filepath.Dir(path), 0o777))
		p = start(t, "hold", []string{path}, asNobody)
		p.line(t)
		wantState(t, path, Running, "")
	})
}
