package sys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// publicDir is a directory like /tmp.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, os.Chmod(dir, 0o777|fs.ModeSticky))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func TestOpenTrustedFollowsOurLinks(t *testing.T) {
	dir := publicDir(t)
	must(t, os.MkdirAll(filepath.Join(dir, "real/deep"), 0o755))
	write(t, filepath.Join(dir, "real/file"), "x")
	must(t, os.Symlink("real", filepath.Join(dir, "rel")))
	must(t, os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "abs")))
	must(t, os.Symlink("../rel/file", filepath.Join(dir, "real/up")))
	must(t, os.Symlink("deep/", filepath.Join(dir, "real/slash")))
	t.Chdir(dir)
	for _, path := range []string{
		"real/file", "./real//file", "rel/file", "abs/file", "abs/deep/../file", "real/up",
		"rel/slash/../up", dir + "/abs/file", "/proc/self/cwd/rel/file", "/dev/fd/../cwd/real/file",
	} {
		f, created, err := OpenTrusted(path, TrustedOpen{Regular: true})
		if err != nil || created {
			t.Errorf("%s: %v, created %v", path, err, created)
			continue
		}
		if b, err := io.ReadAll(f); string(b) != "x" || err != nil || f.Name() != path {
			t.Errorf("%s: read %q, %v; name %s", path, b, err, f.Name())
		}
		f.Close()
	}
}

func TestOpenTrustedErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for _, c := range []struct {
		path  string
		flags int
		is    error
		says  string
	}{
		{"", 0, fs.ErrNotExist, "open :"},
		{"none", 0, fs.ErrNotExist, "none: no such file"},
		{"a/b/file", os.O_CREATE | os.O_RDWR, fs.ErrNotExist, dir + "/a: no such file"},
		{"file/x", 0, syscall.ENOTDIR, dir + "/file: not a directory"},
		{"loop", 0, syscall.ELOOP, "loop"},
		{"loop/x", 0, syscall.ELOOP, "loop"},
		{"dangling", 0, fs.ErrNotExist, "dangling"},
		{"dangling", os.O_CREATE | os.O_EXCL | os.O_RDWR, fs.ErrExist, "exists"},
		{"file", os.O_CREATE | os.O_EXCL | os.O_RDWR, fs.ErrExist, "exists"},
		{"file/", 0, syscall.ENOTDIR, "file/"},
		{".", 0, syscall.EISDIR, ""},
		{"..", 0, syscall.EISDIR, ""},
		{"new/", os.O_CREATE | os.O_RDWR, fs.ErrNotExist, "new"},
		{"fifo", 0, nil, "it is not a regular file but a FIFO"},
		{"fifo", os.O_RDWR | os.O_CREATE, nil, "it is not a regular file but a FIFO"},
		{"/dev/null", os.O_RDWR, nil, "it is not a regular file but a device"},
		{"/proc/self/fd/999", 0, fs.ErrNotExist, "/proc/self/fd/999"},
		{"a\x00b", 0, fs.ErrNotExist, ""},
	} {
		path := c.path
		if path != "" && path[0] != '/' {
			path = dir + "/" + path
		}
		f, _, err := OpenTrusted(path, TrustedOpen{Flags: c.flags, Mode: 0o600, Regular: true})
		if err == nil {
			f.Close()
			t.Errorf("%q opened", c.path)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; want %v, saying %q", c.path, err, c.is, c.says)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 4 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestOpenTrustedCreates(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("target", filepath.Join(dir, "link")))
	for _, mask := range []int{0, 0o077, 0o777} {
		for _, mode := range []fs.FileMode{0o644, 0o600, 0o666, 0o444, 0} {
			old := syscall.Umask(mask)
			f, created, err := OpenTrusted(dir+"/link",
				TrustedOpen{Flags: os.O_RDWR | os.O_CREATE, Mode: mode, Regular: true})
			syscall.Umask(old)
			must(t, err)
			fi, err := f.Stat()
			must(t, err)
			if !created || fi.Mode() != mode {
				t.Errorf("umask %03o, mode %04o: got %v, created %v",
					mask, mode, fi.Mode(), created)
			}
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK != 0 {
				t.Errorf("flags %#x, %v", flags, err)
			}
			if fl, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil ||
				fl&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %#x, %v", fl, err)
			}
			f.Close()
			must(t, os.Remove(dir+"/target"))
		}
	}
}

func TestOpenTrustedTruncatesAndAppends(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), "old")
	f, _, err := OpenTrusted(path, TrustedOpen{Flags: os.O_WRONLY | os.O_APPEND | os.O_CREATE})
	must(t, err)
	_, err = f.WriteString(" new")
	must(t, errors.Join(err, f.Close()))
	if got := content(t, path); got != "old new" {
		t.Errorf("appended: %q", got)
	}
	f, _, err = OpenTrusted(path, TrustedOpen{Flags: os.O_WRONLY | os.O_TRUNC})
	must(t, errors.Join(err, f.Close()))
	if got := content(t, path); got != "" {
		t.Errorf("truncated: %q", got)
	}
}

// A daemon's log may be /dev/stdout, whatever that is: a pipe has no name to walk.
func TestOpenTrustedMagicLinks(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	f, _, err := OpenTrusted(fmt.Sprintf("/dev/fd/%d", w.Fd()),
		TrustedOpen{Flags: os.O_WRONLY | os.O_APPEND | os.O_CREATE, Mode: 0o600})
	must(t, err)
	_, err = f.WriteString("through")
	must(t, errors.Join(err, f.Close()))
	buf := make([]byte, 10)
	if n, err := r.Read(buf); string(buf[:n]) != "through" || err != nil {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if _, _, err := OpenTrusted(fmt.Sprintf("/dev/fd/%d", w.Fd()),
		TrustedOpen{Regular: true}); err == nil || !strings.Contains(err.Error(), "a FIFO") {
		t.Errorf("regular file only: %v", err)
	}
	// Of a file that was removed, the link's text is no path at all.
	gone, err := os.Create(filepath.Join(t.TempDir(), "gone"))
	must(t, err)
	defer gone.Close()
	must(t, os.Remove(gone.Name()))
	f, _, err = OpenTrusted(fmt.Sprintf("/proc/self/fd/%d", gone.Fd()),
		TrustedOpen{Flags: os.O_WRONLY, Regular: true})
	must(t, err)
	f.Close()
}

func TestOpenTrustedRefusesPlanted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("planting needs a second user; what an ordinary user gets is tested from the run " +
			"as root")
		return
	}
	dir := publicDir(t)
	victim := write(t, filepath.Join(t.TempDir(), "victim"), "precious")
	must(t, os.MkdirAll(dir+"/evil", 0o755))
	must(t, os.Symlink(victim, dir+"/last"))
	must(t, os.Symlink("evil", dir+"/mid"))
	must(t, os.Symlink("absent", dir+"/dangling"))
	must(t, os.Symlink("last", dir+"/ours")) // ours leads to theirs
	for _, name := range []string{"last", "mid", "dangling", "evil"} {
		must(t, os.Lchown(filepath.Join(dir, name), nobody, nobody))
	}
	for path, whose := range map[string]string{
		"last": "last", "mid/new": "mid", "dangling": "dangling", "ours": "last",
	} {
		_, _, err := OpenTrusted(dir+"/"+path,
			TrustedOpen{Flags: os.O_RDWR | os.O_CREATE | os.O_TRUNC, Mode: 0o600})
		want := fmt.Sprintf("%s/%s is a symbolic link owned by user %d", dir, whose, nobody)
		if !errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}

	// Files, not links: one of theirs, and a second name for one of ours.
	write(t, dir+"/theirs", "bait")
	must(t, os.Chown(dir+"/theirs", nobody, nobody))
	must(t, os.Link(victim, dir+"/hard"))
	for path, says := range map[string]string{
		"theirs": "put it there before us", "hard": "2 hard links",
	} {
		_, _, err := OpenTrusted(dir+"/"+path,
			TrustedOpen{Flags: os.O_RDWR | os.O_CREATE | os.O_TRUNC, Mode: 0o600})
		if !errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", path, err, says)
		}
	}
	if got := content(t, victim); got != "precious" {
		t.Errorf("the victim holds %q", got)
	}
	// In a directory of their own, their own file is what we were asked for.
	write(t, dir+"/evil/file", "")
	must(t, os.Chown(dir+"/evil/file", nobody, nobody))
	f, _, err := OpenTrusted(dir+"/evil/file", TrustedOpen{Flags: os.O_RDWR | os.O_CREATE})
	must(t, err)
	f.Close()
}

func TestOpenTrustedSetsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	o := TrustedOpen{
		Flags: os.O_RDWR | os.O_CREATE,
		Mode:  0o640,
		Owner: &Owner{UID: nobody, GID: nobody},
	}
	if os.Getuid() != 0 {
		o.Owner.UID = 0
		if _, _, err := OpenTrusted(path, o); !errors.Is(err, fs.ErrPermission) ||
			!strings.Contains(err.Error(), "set owner 0:65534") {
			t.Errorf("giving a file away: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file was left behind: %v", err)
		}
		return
	}
	f, _, err := OpenTrusted(path, o)
	must(t, err)
	defer f.Close()
	fi, err := f.Stat()
	must(t, err)
	owner, links, err := FileOwner(fi)
	if err != nil || owner != *o.Owner || links != 1 || fi.Mode() != 0o640 {
		t.Errorf("owner %v, %d links, %v, %v", owner, links, fi.Mode(), err)
	}
}

// One name is exchanged all the time between a file of ours and a link to the
// victim. As the links belong to nobody (as root), the victim is never opened.
func TestOpenTrustedRace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("a link of our own may be followed; the race is run as root")
		return
	}
	dir := publicDir(t)
	victim := write(t, filepath.Join(t.TempDir(), "victim"), "precious")
	var stop atomic.Bool
	var attacker sync.WaitGroup
	attacker.Go(func() {
		for i := 0; !stop.Load(); i++ {
			tmp := fmt.Sprintf("%s/tmp%d", dir, i)
			if i%2 == 0 {
				_ = os.Symlink(victim, tmp)
				_ = os.Lchown(tmp, nobody, nobody)
			} else {
				_ = os.WriteFile(tmp, nil, 0o600)
			}
			_ = os.Rename(tmp, dir+"/x")
		}
	})
	defer attacker.Wait()
	defer stop.Store(true)
	opened, refused := 0, 0
	for i := 0; i < 20_000 && (i < 2_000 || opened == 0 || refused == 0); i++ {
		f, _, err := OpenTrusted(dir+"/x",
			TrustedOpen{Flags: os.O_RDWR | os.O_CREATE | os.O_TRUNC, Mode: 0o600, Regular: true})
		switch {
		case err == nil:
			opened++
			f.Close()
		case errors.Is(err, ErrInsecure), errors.Is(err, errRaced):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if got := content(t, victim); got != "precious" || opened == 0 || refused == 0 {
		t.Errorf("the victim holds %q after %d opened, %d refused", got, opened, refused)
	}
}

func TestOpenTrustedLeaksNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "x")
	must(t, os.Symlink("file", dir+"/link"))
	must(t, os.Symlink("link2", dir+"/link2"))
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(names)
	}
	before := count()
	for _, path := range []string{
		"/file", "/link", "/link2", "/none", "/file/x", "/a/b", "/", "/../x",
	} {
		if f, _, err := OpenTrusted(dir+path, TrustedOpen{}); err == nil {
			f.Close()
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestMakeTrustedDir(t *testing.T) {
	dir := t.TempDir()
	made := func(name string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// for RemoveAll, which says if it matters
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "closed"), 0o700) })
	keep := Owner{UID: -1, GID: -1}

	closed := made("closed", 0o311) // to be passed through, and not to be read
	for _, path := range []string{filepath.Join(closed, "a"), filepath.Join(closed, "a", "b")} {
		if err := MakeTrustedDir(path, 0o750, keep); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode() != fs.ModeDir|0o750 {
			t.Errorf("%v, %v", fi, err)
		}
	}
	for path, want := range map[string]error{
		filepath.Join(closed, "a"):                              fs.ErrExist,
		filepath.Join(dir, "missing", "a"):                      fs.ErrNotExist,
		filepath.Join(made("everybody's", 0o777), "a"):          ErrInsecure,
		filepath.Join(made("file", 0o700), "..", "f", "a"):      fs.ErrNotExist,
		filepath.Join("/proc/self/cmdline", "a"):                syscall.ENOTDIR,
		filepath.Join(made("sticky", fs.ModeSticky|0o777), "a"): nil,
	} {
		if err := MakeTrustedDir(path, 0o750, keep); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}
