package pidfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// readLocks are the locks that a file gives to whoever may open it for reading.
var readLocks = map[string]func(fd int) error{
	"start byte": func(fd int) error { return readLock(fd, sys.StartByte, 1) },
	"all of it":  func(fd int) error { return readLock(fd, 0, 0) },
	"flock":      func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX) },
	"flock -s":   func(fd int) error { return syscall.Flock(fd, syscall.LOCK_SH) },
	"like a successor": func(fd int) error {
		return errors.Join(syscall.Flock(fd, syscall.LOCK_EX), readLock(fd, 0, sys.StartByte))
	},
}

func readLock(fd int, start, length int64) error {
	return syscall.FcntlFlock(uintptr(fd), syscall.F_SETLK,
		&syscall.Flock_t{Type: syscall.F_RDLCK, Start: start, Len: length})
}

// stranger locks a file as whoever may read it can, and says so.
func stranger(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	if err := readLocks[args[1]](int(f.Fd())); err != nil {
		return err
	}
	fmt.Println("locked")
	heldByStranger = f
	return nil
}

var heldByStranger *os.File // until the process ends

// deadPID is the number of a process that is gone.
func deadPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/bin/true")
	must(t, cmd.Run())
	return cmd.Process.Pid
}

// Who may read a pid file, as everybody may, keeps nobody from starting by a lock: neither of a
// process that is gone nor of nobody.
func TestReadersHoldUpNoStart(t *testing.T) {
	if !asRoot(t) {
		return
	}
	for content, text := range map[string]string{
		"dead": strconv.Itoa(deadPID(t)) + "\n", "empty": "",
	} {
		for lock := range readLocks {
			for _, o := range []Options{{}, {HandDown: true}} {
				if content == "empty" && lock == "like a successor" {
					continue // it may be a daemon whose file was emptied: TestEmptied
				}
				path := newPath(t)
				must(t, os.WriteFile(path, []byte(text), 0o644))
				p := start(t, "stranger", []string{path, lock}, asNobody)
				p.line(t)
				if i := found(t, path); i.State != Dead {
					t.Errorf("%s, %s: it is %v (%v)", content, lock, i.State, i.Why)
				}
				f, err := Acquire(path, o)
				if err != nil {
					t.Errorf("%s, %s, %+v: %v", content, lock, o, err)
					continue
				}
				if _, err := Acquire(path, o); !errors.Is(err, ErrLocked) {
					t.Errorf("%s, %s: a second start, %+v: %v", content, lock, o, err)
				}
				must(t, f.Write(os.Getpid()))
				wantOnly(t, path)
				must(t, errors.Join(f.Remove(), f.Close()))
				p.kill()
			}
		}
	}
}

// wantOnly wants no other file where a pid file is.
func wantOnly(t *testing.T, path string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(list) != 1 || list[0].Name() != filepath.Base(path) {
		t.Errorf("left behind: %v", list)
	}
}

// A file that a daemon was given the lock of, and that somebody has emptied, says of nobody that he
// is gone.
func TestEmptied(t *testing.T) {
	path := newPath(t)
	daemon(t, path, "sleep 1000; :")
	must(t, os.Truncate(path, 0))
	for _, o := range []Options{{}, {HandDown: true}} {
		if f, err := Acquire(path, o); !errors.Is(err, ErrLocked) {
			t.Errorf("%+v: %v, %v", o, f, err)
		}
	}
}

// While a stranger has a lock, one start alone goes ahead.
func TestOneStartPastAStranger(t *testing.T) {
	if !asRoot(t) {
		return
	}
	for lock := range readLocks {
		path := memPath(t)
		must(t, os.Chmod(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(strconv.Itoa(deadPID(t))+"\n"), 0o644))
		start(t, "stranger", []string{path, lock}, asNobody).line(t)
		var got atomic.Int32
		var held sync.Map // until all have tried
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for got.Load() == 0 {
					f, err := Acquire(path, Options{HandDown: n%2 == 0})
					if err == nil {
						held.Store(f, nil)
						got.Add(1)
						err = f.Write(os.Getpid())
					}
					_, running := errors.AsType[*RunningError](err)
					if err != nil && !running && !errors.Is(err, ErrLocked) {
						t.Errorf("%s: %v", lock, err)
					}
				}
			})
		}
		wg.Wait()
		held.Range(func(f, _ any) bool { must(t, f.(*File).Close()); return true })
		if got.Load() != 1 {
			t.Errorf("%s: %d starts at once", lock, got.Load())
		}
	}
}

// Nobody can lock a file before who makes it has the lock.
func TestMadeLocked(t *testing.T) {
	path := newPath(t)
	must(t, os.WriteFile(path, nil, 0o600)) // made by a start that was killed at once
	f, err := Acquire(path, Options{Mode: 0o640})
	must(t, err)
	defer f.Close()
	fi, err := os.Stat(path)
	must(t, err)
	if fi.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v", fi.Mode())
	}
}

// Who may write keeps others from starting as before: flock(1) of the owner, whatever a stranger
// has locked beside.
func TestFlockOfTheOwner(t *testing.T) {
	path := newPath(t)
	must(t, os.WriteFile(path, []byte(strconv.Itoa(deadPID(t))+"\n"), 0o644))
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	if os.Getuid() == 0 {
		start(t, "stranger", []string{path, "start byte"}, asNobody).line(t)
	}
	for _, o := range []Options{{}, {HandDown: true}} {
		if _, err := Acquire(path, o); !errors.Is(err, ErrLocked) ||
			!strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
			t.Errorf("%+v: %v, want that we have locked it", o, err)
		}
	}
}

// A process of ours that is recorded and has the lock is not superseded, whatever the clock says of
// its age.
func TestClockSupersedesNobody(t *testing.T) {
	path := newPath(t)
	cmd := daemon(t, path, "sleep 1000; :")
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	f := &File{file: file}
	if err := f.passable(os.Geteuid()); !errors.Is(err, ErrLocked) ||
		!strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("%v", err)
	}
}

// A file that has our own number, of an earlier process, is taken as one of another number is.
func TestReadersHoldUpNoNamesake(t *testing.T) {
	if !asRoot(t) {
		return
	}
	for lock := range readLocks {
		path := newPath(t)
		must(t, os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644))
		must(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))) // before we were started
		start(t, "stranger", []string{path, lock}, asNobody).line(t)
		f, err := Acquire(path, Options{HandDown: true})
		if err != nil {
			t.Errorf("%s: %v", lock, err)
			continue
		}
		must(t, f.Close())
	}
}
