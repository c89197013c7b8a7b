package pidfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

func TestLifeOfALockedFile(t *testing.T) {
	path := newPath(t)
	wantState(t, path, Absent, "no such file")
	f := acquired(t, path)
	wantState(t, path, Starting, "it is empty")
	if _, err := Acquire(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("Acquire during a start: %v, want ErrLocked", err)
	}
	must(t, f.Write(os.Getpid()))
	if got := content(t, path); got != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("content %q", got)
	}
	before, err := os.Stat(path)
	must(t, err)
	wantState(t, path, Running, "")
	wantRunning(t, path, os.Getpid())
	after, err := os.Stat(path)
	must(t, err)
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) ||
		before.Size() != after.Size() {
		t.Errorf("a refused Acquire changed the file: %v, then %v", before, after)
	}
	must(t, f.Remove())
	must(t, f.Remove()) // gone already
	must(t, f.Close())
	wantState(t, path, Absent, "")
}

// What `detach` does for a program that knows nothing of us.
func TestLifeOfAForeignProgram(t *testing.T) {
	path := newPath(t)
	p := start(t, "sleep", nil)
	recorded(t, path, p.Process.Pid)
	wantRunning(t, path, p.Process.Pid)
	i := wantState(t, path, Running, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a context that has ended: %v", err)
	}
	must(t, i.Signal(syscall.SIGKILL))
	must(t, i.Wait(t.Context()))
	wantState(t, path, Dead, "is gone") // a zombie counts as gone
	_ = p.Wait()
	if err := i.Signal(0); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v, want ErrProcessDone", err)
	}
	must(t, i.Close())
	if err := i.Signal(0); !errors.Is(err, ErrNotRunning) {
		t.Errorf("signal after Close: %v, want ErrNotRunning", err)
	}
	acquired(t, path)
}

func TestModeAndUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		for mode, want := range map[fs.FileMode]fs.FileMode{0: 0o644, 0o600: 0o600, 0o640: 0o640} {
			path := newPath(t)
			old := syscall.Umask(mask)
			f, err := Acquire(path, Options{Mode: mode})
			syscall.Umask(old)
			must(t, err)
			fi, err := os.Stat(path)
			must(t, errors.Join(err, f.Close()))
			if fi.Mode() != want {
				t.Errorf("umask %03o: mode %v, want %v", mask, fi.Mode(), want)
			}
		}
	}
	for _, mode := range []fs.FileMode{0o666, 0o620, 0o602, 0o400, 0o4644, fs.ModeSetuid | 0o644} {
		if _, err := Acquire(newPath(t), Options{Mode: mode}); err == nil ||
			!strings.Contains(err.Error(), "mode ") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

// Each of these must not be believed, must not be changed by Acquire, and must
// not keep a start out.
func TestStaleContents(t *testing.T) {
	stranger := start(t, "sleep", nil)
	stranger.line(t)
	gone := start(t, "sleep", nil)
	gone.kill()
	for _, c := range []struct {
		name, content string
		state         State
		says          string
	}{
		{"0 bytes", "", Dead, "empty"},
		{"white space", " \n\n", Dead, "empty"},
		{"rubbish", "hello\n", Dead, "not a pid"},
		{"binary", "\x00\xff(\n", Dead, "not a pid"},
		{"two pids", "1\n2\n", Dead, "not a pid"},
		{"negative", "-1\n", Dead, "not a pid"},
		{"zero", "0\n", Dead, "not a pid"},
		{"plus", "+1\n", Dead, "not a pid"},
		{"leading zero", "01\n", Dead, "not a pid"},
		{"too great", "4294967297\n", Dead, "not a pid"},
		{"hex", "0x1\n", Dead, "not a pid"},
		{"long", strings.Repeat("1", 1000), Dead, "more than 64 bytes"},
		{"dead process", fmt.Sprintf("%d\n", gone.Process.Pid), Dead, "is gone"},
		{"beyond pid_max", "2147483647\n", Dead, "is gone"},
		{"live stranger", fmt.Sprintf("%d\n", stranger.Process.Pid), Unproven, "nothing proves"},
		{"no newline", strconv.Itoa(stranger.Process.Pid), Unproven, "nothing proves"},
		{"ourselves", fmt.Sprintf("%d\n", os.Getpid()), Unproven, "nothing proves"},
		{"process 1", "1\n", Unproven, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			must(t, os.WriteFile(path, []byte(c.content), 0o644))
			wantState(t, path, c.state, c.says)
			f := acquired(t, path)
			if got := content(t, path); got != c.content {
				t.Errorf("Acquire changed the content to %q", got)
			}
			must(t, f.Remove()) // never written: not ours to remove
			if got := content(t, path); got != c.content {
				t.Errorf("Remove changed the content to %q", got)
			}
			must(t, f.Write(os.Getpid()))
			if got := content(t, path); got != fmt.Sprintf("%d\n", os.Getpid()) {
				t.Errorf("Write made the content %q", got)
			}
			wantState(t, path, Running, "")
		})
	}
}

// The same pid, but another process: after a reboot, or when the pid was used again.
func TestFingerprintOfAnother(t *testing.T) {
	id, err := sys.Identify(os.Getpid())
	must(t, err)
	for name, other := range map[string]sys.Identity{
		"other boot": {Boot: "00000000-0000-0000-0000-000000000000", PID: id.PID,
			Start: id.Start},
		"other start time": {Boot: id.Boot, PID: id.PID, Start: id.Start + 1},
		"other pid":        {Boot: id.Boot, PID: id.PID + 1, Start: id.Start},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			recorded(t, path, os.Getpid())
			now := time.Unix(time.Now().Unix(), fingerprint(other))
			must(t, os.Chtimes(path, now, now))
			wantState(t, path, Unproven, "nothing proves")
			// written before this process started
			old := time.Unix(1_000_000_000, fingerprint(other))
			must(t, os.Chtimes(path, old, old))
			wantState(t, path, Dead, "is another one")
			acquired(t, path)
		})
	}
}

func TestTouchAndCopyDestroyTheFingerprint(t *testing.T) {
	path := newPath(t)
	recorded(t, path, os.Getpid())
	must(t, os.WriteFile(path+".copy", []byte(content(t, path)), 0o644))
	wantState(t, path+".copy", Unproven, "")
	now := time.Now().Truncate(time.Second)
	must(t, os.Chtimes(path, now, now))
	wantState(t, path, Unproven, "")
}

func TestFingerprintsAreSpread(t *testing.T) {
	seen := map[int64]int{}
	for pid := range 300 {
		for start := range 300 {
			n := fingerprint(sys.Identity{Boot: "b", PID: pid, Start: uint64(start) + 1e6})
			if n < 1 || n > 999_999_999 {
				t.Fatalf("fingerprint %d", n)
			}
			seen[n]++
		}
	}
	// 90,000 of 10⁹: about 4 collisions are expected.
	if lost := 300*300 - len(seen); lost > 20 {
		t.Errorf("%d of 90,000 fingerprints collide", lost)
	}
}

func TestWriteRefusesTheDead(t *testing.T) {
	path := newPath(t)
	p := start(t, "sleep", nil)
	p.kill()
	f := acquired(t, path)
	for _, pid := range []int{p.Process.Pid, 0, -1} {
		if err := f.Write(pid); err == nil {
			t.Errorf("Write(%d) of no process succeeded", pid)
		}
	}
	if got := content(t, path); got != "" {
		t.Errorf("content %q", got)
	}
	must(t, f.Remove())
	wantState(t, path, Absent, "")
}

func TestRemoveOnlyOurs(t *testing.T) {
	t.Run("replaced", func(t *testing.T) {
		path := newPath(t)
		f := acquired(t, path)
		must(t, f.Write(os.Getpid()))
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644))
		if err := f.Remove(); !errors.Is(err, ErrReplaced) {
			t.Errorf("Remove of another file: %v, want ErrReplaced", err)
		}
		if err := f.Write(os.Getpid()); !errors.Is(err, ErrReplaced) {
			t.Errorf("Write into an unlinked file: %v, want ErrReplaced", err)
		}
		_ = content(t, path)
	})
	t.Run("rewritten", func(t *testing.T) {
		path := newPath(t)
		f := acquired(t, path)
		must(t, f.Write(os.Getpid()))
		must(t, os.WriteFile(path, []byte("1\n"), 0o644))
		if err := f.Remove(); err == nil || !strings.Contains(err.Error(), "not ours") {
			t.Errorf("Remove of another's content: %v", err)
		}
		if got := content(t, path); got != "1\n" {
			t.Errorf("content %q", got)
		}
	})
	t.Run("after chdir and through a link", func(t *testing.T) {
		path := newPath(t)
		must(t, os.Symlink("app.pid", path+".link"))
		t.Chdir(filepath.Dir(path))
		f := acquired(t, "app.pid.link")
		must(t, f.Write(os.Getpid()))
		t.Chdir("/")
		must(t, f.Remove())
		if _, err := os.Lstat(path + ".link"); err != nil {
			t.Errorf("the link itself: %v", err)
		}
		wantState(t, path, Absent, "")
	})
}

// Asking for the state takes no lock, so it cannot make a start fail.
func TestFindNeverDisturbsAcquire(t *testing.T) {
	path := memPath(t)
	stop := make(chan struct{})
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i, err := Find(path)
				if err != nil {
					t.Error(err)
					return
				}
				_ = i.Close()
			}
		})
	}
	for range 1000 {
		f, err := Acquire(path, Options{})
		if err != nil {
			t.Error(err)
			break
		}
		must(t, errors.Join(f.Write(os.Getpid()), f.Remove(), f.Close()))
	}
	close(stop)
	askers.Wait()
}

// While one pid is written over another, our reader gets one or none, never two
// and never a mixture.
func TestReaderSeesOnePID(t *testing.T) {
	path := memPath(t)
	p := start(t, "sleep", nil)
	p.line(t)
	f := acquired(t, path)
	reader, err := os.Open(path)
	must(t, err)
	defer reader.Close()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := errors.Join(f.put("1\n"), f.put(fmt.Sprintf("%d\n", p.Process.Pid)))
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[int]int{}
	for range 20_000 {
		rec, err := read(reader)
		if err != nil && strings.Contains(err.Error(), "keeps changing") {
			continue // true: nothing pauses this writer
		}
		if err != nil || rec.err != nil && rec.size != 0 ||
			rec.err == nil && rec.pid != 1 && rec.pid != p.Process.Pid {
			t.Errorf("a reader saw %d (%v), %v", rec.pid, rec.err, err)
			break
		}
		seen[rec.pid]++
	}
	close(stop)
	writer.Wait()
	t.Logf("seen: %v", seen)
}

func TestLockOutlivesItsLastReference(t *testing.T) {
	path := newPath(t)
	func() {
		if _, err := Acquire(path, Options{}); err != nil {
			t.Fatal(err)
		}
	}()
	for range 3 {
		runtime.GC()
	}
	if _, err := Acquire(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("after garbage collection: %v, want ErrLocked", err)
	}
	held.Range(func(f, _ any) bool {
		if file := f.(*os.File); file.Name() == path {
			held.Delete(f)
			_ = file.Close()
		}
		return true
	})
}

func TestNoDescriptorLeaks(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(names)
	}
	path := newPath(t)
	recorded(t, path, os.Getpid())
	must(t, os.WriteFile(path+".dead", nil, 0o644))
	must(t, os.WriteFile(path+".bad", nil, 0o666))
	must(t, os.Chmod(path+".bad", 0o666))
	before := count()
	for _, p := range []string{
		path, path + ".dead", path + ".bad", path + ".absent", path + "/x", filepath.Dir(path),
	} {
		if f, err := Acquire(p, Options{}); err == nil {
			must(t, f.Close())
		}
		if i, err := Find(p); err == nil {
			must(t, i.Close())
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "1\n", " 22 \n", "1\n2\n", "+1", "01", "-1", "2147483648", "\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pid, err := parse(data)
		if err != nil {
			if pid != 0 || strings.Contains(err.Error(), "\n") {
				t.Errorf("parse(%q) = %d, %q", data, pid, err)
			}
			return
		}
		if got := strings.Fields(string(data)); pid <= 0 || len(got) != 1 ||
			got[0] != strconv.Itoa(pid) {
			t.Errorf("parse(%q) = %d: a shell would read %q", data, pid, got)
		}
	})
}
