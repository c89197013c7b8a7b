// Package pidfile holds a locked pid file and tells whether a recorded process is still that
// process.
//
// The file holds the decimal pid and a newline, nothing else, so that
// kill $(cat FILE) works. Who holds it is told by two further things:
//
//   - The lock. A daemon that uses this package keeps the file open and locked
//     for life. The lock belongs to the open file description: a launcher takes
//     it and hands it down, so it is never released on the way, and descriptors
//     are close-on-exec, so no child of the daemon keeps it. (A program that is
//     not ours gets one that is not, with Options.HandDown, and so do its children.)
//   - The fingerprint. The nanoseconds of the file's modification time are a hash
//     of boot id, pid and start time of the process recorded. It identifies a
//     program that knows nothing of us and holds no lock. After a reboot, when
//     the pid is another's, or when somebody else wrote the file, it does not
//     match, and the pid in the file is not believed.
//
// A File that has not been closed keeps its lock even when it is no longer
// referenced: a lock must not depend on the garbage collector.
package pidfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/daemonry/daemonry/internal/sys"
)

var (
	// ErrLocked says that somebody holds the lock while no running process is
	// provably recorded: most often another start is in progress.
	ErrLocked = errors.New("locked by another process: a start is in progress")

	// ErrInsecure says that somebody who is neither root nor we could have
	// written, planted or redirected the file.
	ErrInsecure = errors.New("insecure")

	// ErrReplaced says that the path names another file now.
	ErrReplaced = errors.New("it was replaced by another file")

	// ErrNoFingerprint says that the pid was written, but the file does not
	// prove whose it is. A daemon that holds the lock can go on; a process
	// without a lock will not be recognised by Find and Acquire.
	ErrNoFingerprint = errors.New("the pid is written, but without a fingerprint")

	// ErrNotRunning is what Signal and Wait of an Instance say that is not
	// provably running.
	ErrNotRunning = errors.New("not provably running")
)

// RunningError says that the process recorded in the pid file is alive, provably.
type RunningError struct {
	Path string
	PID  int
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("pid file %s: process %d is running already", e.Path, e.PID)
}

// Options describe a pid file that does not exist yet; the zero value is mode
// 0644, owned by whoever calls.
type Options struct {
	Mode  fs.FileMode // 0 means 0644; exact, whatever the umask; group and others must not write
	Owner *Owner      // nil: the caller's effective user and group
	// HandDown puts the lock on a descriptor of its own, LockFile, that can only be read: for a
	// process that is to hold it for life and may be another user's. File stays ours, and says
	// until Close that a start is in progress. Where open file description locks are missing
	// (anywhere but on Linux, and on some file systems) it has no effect: LockFile is nil.
	HandDown bool
}

// Owner is a user and a group by number; -1 leaves the one or the other as it is.
type Owner struct{ UID, GID int }

// File is a pid file we hold locked. Its methods are for one goroutine at a time.
type File struct {
	path   string // absolute, without symbolic links
	file   *os.File
	lockFD *os.File // that has the lock, if it is not file
	locked bool
	// it was there before Acquire, holds nothing of ours, and we have not written since
	stale bool
	// the pid we wrote last, 0 for none
	written int
}

// held keeps the open files from the garbage collector, which would close them
// and so give up their locks when a program drops its *File.
var held sync.Map // *os.File to that with the lock, if it is another

// maxTries bounds the search for a file that is not replaced while we look at
// it. Every try that fails means that somebody else's start or exit went ahead.
const maxTries = 1000

// Acquire opens or creates the pid file and locks it. The directory must exist;
// symbolic links on the way are followed only if root or we own them.
//
// The error is a *RunningError if the process recorded is provably alive, and
// wraps ErrLocked if somebody else holds the lock otherwise. Who is recorded
// himself, without a lock, may acquire the file. A file that is
// stale (dead process, other boot, empty, rubbish, the pid of a stranger) is
// acquired; its content stays as it is until Write. A lock by somebody who may only read the
// file keeps nobody out: the file is replaced by another. A file that others could
// have written, or that is owned by somebody other than root, us or
// Options.Owner, is refused with ErrInsecure. If the process recorded is alive
// but /proc hides it from us, nobody can tell whether it is the one: an error as well.
func Acquire(path string, o Options) (*File, error) {
	f, err := acquire(path, o)
	if _, running := errors.AsType[*RunningError](err); err != nil && !running {
		return nil, fmt.Errorf("pid file %s: %w", path, err)
	}
	return f, err
}

func acquire(path string, o Options) (*File, error) {
	if o.Mode == 0 {
		o.Mode = 0o644
	}
	if o.Mode&^0o755 != 0 || o.Mode&0o600 != 0o600 {
		return nil, fmt.Errorf("mode %04o: the owner must read and write, others must not write",
			o.Mode)
	}
	for range maxTries {
		f, err := try(path, o)
		if !errors.Is(err, ErrReplaced) {
			return f, err
		}
	}
	return nil, ErrReplaced
}

// try is one attempt of Acquire; ErrReplaced means that another may succeed.
func try(path string, o Options) (*File, error) {
	// Nobody else can open a new one before we have locked it: whoever can may lock it himself
	// (flock(2)).
	open := sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE, Mode: newMode, Regular: true}
	if o.Owner != nil {
		open.Owner = &sys.Owner{UID: o.Owner.UID, GID: o.Owner.GID}
	}
	file, created, err := openTrusted(path, open)
	if err != nil {
		return nil, err
	}
	f := &File{file: file, stale: !created}
	if err = f.claim(path, o); err != nil {
		if created {
			err = sys.Also(err, f.unmake(path, err))
		}
		return nil, sys.Also(err, f.closeFiles())
	}
	held.Store(file, f.lockFD)
	return f, nil
}

func openTrusted(path string, o sys.TrustedOpen) (*os.File, bool, error) {
	file, created, err := sys.OpenTrusted(path, o)
	if errors.Is(err, sys.ErrInsecure) {
		err = insecureError{err}
	}
	return file, created, err
}

// insecureError is a refusal by OpenTrusted under the name we give it.
type insecureError struct{ error }

func (e insecureError) Unwrap() error      { return e.error }
func (insecureError) Is(target error) bool { return target == ErrInsecure }

// claim takes the lock, then checks what it got. Nothing is changed before both.
func (f *File) claim(path string, o Options) error {
	err := f.lockFor(path, o)
	if errors.Is(err, sys.ErrLocked) {
		err = f.whoHolds(path, o)
	}
	if err != nil {
		return err
	}
	f.locked = true
	if err := f.locate(path); err != nil {
		return err
	}
	owner, err := secure(f.file)
	if err != nil {
		return err
	}
	if !trusted(owner) && (o.Owner == nil || o.Owner.UID != owner) {
		return fmt.Errorf("%w: it belongs to user %d", ErrInsecure, owner)
	}
	v, err := judge(f.file, owner)
	if err != nil {
		return err
	}
	defer v.close()
	if err := f.show(o.Mode); err != nil {
		return err
	}
	if !f.stale {
		return f.restore()
	}
	switch {
	case v.state == Running && v.pid == os.Getpid():
		// We are the one recorded: by detach, say, or before we executed a new
		// image of ourselves, which closed our lock.
		f.stale = false
	case v.state == Running:
		return &RunningError{Path: path, PID: v.pid}
	case v.blind:
		return fmt.Errorf("cannot tell whether process %d is the one recorded: %w", v.pid, v.why)
	}
	return nil
}

// newMode is that of a file between open and lock.
const newMode = 0o600

// show lets those read a new file that may; also one that a start had made which was killed.
func (f *File) show(mode fs.FileMode) error {
	fi, err := f.file.Stat()
	if err != nil || fi.Size() > 0 || fi.Mode().Perm() != newMode || mode == newMode {
		return err
	}
	return f.file.Chmod(mode)
}

// whoHolds explains a lock that is not ours. It returns nil if it has become ours after all.
func (f *File) whoHolds(path string, o Options) error {
	owner, err := secure(f.file)
	if err != nil {
		return err
	}
	v, err := judge(f.file, owner)
	if err != nil {
		return err
	}
	defer v.close()
	if v.state == Running && v.pid == os.Getpid() {
		// We are the one recorded, and were born with the lock, as a program that detach has
		// started is.
		sys.CloseInherited(f.file)
		if err := f.lockFor(path, o); !errors.Is(err, sys.ErrLocked) {
			return err
		}
	}
	switch {
	case v.state == Running:
		return &RunningError{Path: path, PID: v.pid}
	case v.state == Dead && (trusted(owner) || o.Owner != nil && o.Owner.UID == owner):
		return f.supersede(path, owner)
	}
	return ErrLocked
}

// lock takes both kinds of lock there are. The first decides between us: it shows that we may write
// (sys.WriteLocked), it excludes programs that lock their pid files with fcntl or lockf, and lets
// Find ask for a lock without taking one. The second is for flock(1), and for where the first is
// missing.
func (f *File) lock() error {
	if err := sys.IfSupported(sys.TryOFDLock(f.file)); err != nil {
		return err
	}
	return sys.TryFlock(f.file)
}

// lockFor takes the lock that the options ask for.
func (f *File) lockFor(path string, o Options) error {
	if !o.HandDown {
		return f.lock()
	}
	lock, _, err := openTrusted(path, sys.TrustedOpen{Flags: os.O_RDONLY, Regular: true})
	if errors.Is(err, fs.ErrNotExist) {
		return ErrReplaced
	}
	if err != nil {
		return err
	}
	if same, err := sameFile(lock, f.file); err != nil || !same {
		return sys.Also(cmp.Or(err, ErrReplaced), lock.Close())
	}
	err = sys.LockForStart(f.file) // first: it shows that we may write
	if err == nil {
		err = sys.LockForLife(lock)
	}
	switch {
	case err == nil:
		f.lockFD = lock
		return nil
	case errors.Is(err, sys.ErrLocked):
		return sys.Also(err, lock.Close())
	}
	if err := lock.Close(); err != nil { // no such locks here; with it goes what it has got
		return err
	}
	return f.lock()
}

// locate finds out the file's own name, which Remove needs even after chdir,
// and whether the file locked is still the one behind the path: a holder that
// ends unlinks it, and a lock on an unlinked file keeps nobody out.
func (f *File) locate(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	abs, err = filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrReplaced
	}
	if err != nil {
		return err
	}
	f.path = abs
	return f.current()
}

// current returns ErrReplaced if the path does not name the open file.
func (f *File) current() error {
	ours, err := f.file.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(ours, now) {
		return ErrReplaced
	}
	return err
}

// secure checks that nobody but the owner could have written the file.
func secure(file *os.File) (owner int, err error) {
	fi, err := file.Stat()
	if err != nil {
		return 0, err
	}
	o, links, err := sys.FileOwner(fi)
	switch {
	case err != nil:
		return 0, err
	case links == 0:
		return 0, ErrReplaced // unlinked since it was opened
	case links > 1:
		return 0, fmt.Errorf("%w: it has %d hard links", ErrInsecure, links)
	case fi.Mode().Perm()&0o022 != 0: // with an access control list, the group bits are its mask
		return 0, fmt.Errorf("%w: its mode %04o lets others write", ErrInsecure, fi.Mode().Perm())
	}
	return o.UID, nil
}

// trusted: what root or we ourselves wrote is believed about any process.
func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }
