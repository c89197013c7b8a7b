package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// RunningError says that another supervisor owns a directory.
type RunningError struct {
	Dir string
	PID int // 0 if it is not known
}

func (e *RunningError) Error() string {
	if e.PID == 0 {
		return e.Dir + ": another supervisor is running"
	}
	return fmt.Sprintf("%s: another supervisor is running, process %d", e.Dir, e.PID)
}

// Who holds these two locks is the one supervisor of both directories. Both, because one user
// can have two runtime directories, one with a session and one without, and still but one state.
//
// The state has a lock file: it is where a network file system may be, and
// those lock only what is open for writing. The runtime directory is locked
// itself: a file in it could be deleted by who tidies up temporary files, and the
// next supervisor would lock another one. systemd-tmpfiles(8) leaves a locked directory alone.
//
// Both are flock(2) locks of open files. A supervisor that is killed leaves them at once; but
// processes that it was starting hold the state's (held) until they execute their programs. So who
// gets the lock finds every service born.
func lockState(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	asked := time.Now().Add(askTime)
	err = tryLock(f, birthTime,
		func() bool { return hasEnded(readPID(f)) || time.Now().Before(asked) })
	switch pid := readPID(f); {
	case errors.Is(err, sys.ErrLocked) && hasEnded(pid):
		err = fmt.Errorf("lock %s: process %d had it, which is gone, and one that it was starting "+
			"holds it still", path, pid)
	case errors.Is(err, sys.ErrLocked):
		err = &RunningError{Dir: dir, PID: pid}
	case err != nil:
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// In place, so that it needs no room on a full disk. It is for people: one that cannot be
	// written locks as well.
	text := strconv.Itoa(os.Getpid()) + "\n"
	if _, err := f.WriteAt([]byte(text), 0); err == nil {
		_ = f.Truncate(int64(len(text)))
	}
	return f, nil
}

func lockRuntime(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = tryLock(f, execTime, func() bool { return true })
	if errors.Is(err, sys.ErrLocked) {
		err = &RunningError{Dir: dir}
	} else if err != nil {
		err = fmt.Errorf("lock %s: %w", dir, err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockName is the lock file's name in the state directory.
const lockName = "lock"

// Holder says whether a supervisor that lives holds the lock of a state directory, and which, 0 if
// that cannot be read.
func Holder(state string) (pid int, held bool) {
	f, _, err := sys.OpenTrusted(filepath.Join(state, lockName), sys.TrustedOpen{Regular: true})
	if errors.Is(err, fs.ErrNotExist) {
		// The directory itself is locked where no file can be made (openLock). The dot keeps the
		// open from waiting for a FIFO.
		f, err = os.Open(state + "/.")
	}
	if err != nil {
		return 0, false
	}
	defer f.Close()
	if free, err := sys.FlockFree(f); err != nil || free {
		return 0, false
	}
	pid = readPID(f)
	return pid, !hasEnded(pid)
}

// locks are the locked files.
type locks struct{ state, dir *os.File }

func (l locks) release() error { return errors.Join(l.dir.Close(), l.state.Close()) }

// openLock opens the lock file. Where nothing can be written any more an old one, and without one
// the directory itself, lock as well; a network file system, which locks only what is open for
// writing, says so.
func openLock(path string) (*os.File, error) {
	f, _, err := sys.OpenTrusted(path,
		sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600, Regular: true})
	if err == nil || !unwritable(err) {
		return f, err
	}
	f, _, readErr := sys.OpenTrusted(path, sys.TrustedOpen{Regular: true})
	if errors.Is(readErr, fs.ErrNotExist) {
		f, readErr = os.Open(filepath.Dir(path))
	}
	if readErr != nil {
		return nil, errors.Join(err, readErr)
	}
	return f, nil
}

// unwritable says that an error is of a disk that is full, or may not be written to.
func unwritable(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM,
	}, func(errno syscall.Errno) bool { return errors.Is(err, errno) })
}

// tryLock tries again for a while, as long as again says that it may help.
func tryLock(f *os.File, limit time.Duration, again func() bool) error {
	for end := time.Now().Add(limit); ; {
		err := sys.TryFlock(f)
		if !errors.Is(err, sys.ErrLocked) || !again() || time.Now().After(end) {
			return err
		}
		// nothing tells of the end of a lock that one does not wait for in the kernel
		time.Sleep(time.Millisecond)
	}
}

// birthTime is how long the processes may take that a killed supervisor was starting.
const birthTime = 5 * time.Second

// askTime is for commands that look whether the lock is held (Holder), which share it for an
// instant.
const askTime = 50 * time.Millisecond

// execTime is for the moment between the two locks of a process that executes its program, or that
// is killed: the kernel closes its files one by one, and a busy machine may do something else
// meanwhile.
const execTime = time.Second

// hasEnded says whether the holder that the lock file names has ended: then it is held by those it
// was starting.
func hasEnded(pid int) bool {
	_, err := sys.Identify(pid) // which a zombie has none of
	return pid > 1 && errors.Is(err, syscall.ESRCH)
}

// readPID returns 0 if there is no pid to be read: the holder may be about to write it.
func readPID(f *os.File) int {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}
