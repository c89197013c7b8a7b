package pidfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/sys"
)

// maxLost bounds how many removed files of one name are looked at: of each start whose file was
// taken there is one.
const maxLost = 64

// lost finds the running process whose pid file was called path and has been removed: by a cleaner
// of /tmp, say. It still has it open, locked. Only what root or we own counts: anybody may have a
// file of that name open where it was.
func lost(path string) (verdict, bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return verdict{}, false
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return verdict{}, false
	}
	files := sys.OpenUnlinked(filepath.Join(dir, filepath.Base(abs)), maxLost)
	defer func() {
		for _, f := range files {
			f.Close() // only read
		}
	}()
	for _, f := range files {
		fi, err := f.Stat()
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		owner, _, err := sys.FileOwner(fi)
		if err != nil || !trusted(owner.UID) || fi.Mode().Perm()&0o022 != 0 {
			continue
		}
		v, err := judge(f, owner.UID)
		if err == nil && v.state == Running {
			return v, true
		}
		if err == nil {
			v.close()
		}
	}
	return verdict{}, false
}

// restore has a file that we have just made say again whose it is, if one of its name was removed
// while its process lives.
func (f *File) restore() error {
	v, ok := lost(f.path)
	if !ok {
		return nil
	}
	defer v.close()
	if v.pid == os.Getpid() {
		return nil // ourselves: Write will do it
	}
	if err := f.write(v.pid); err != nil && !errors.Is(err, ErrNoFingerprint) {
		return sys.Also(&RunningError{Path: f.path, PID: v.pid}, err)
	}
	return &RunningError{Path: f.path, PID: v.pid}
}

// removeRestored removes the file that a start has put where ours was taken away: it has our pid,
// and our fingerprint.
func (f *File) removeRestored(pid int) error {
	file, _, err := openTrusted(f.path, sys.TrustedOpen{Flags: os.O_RDONLY, Regular: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() // only read
	owner, err := secure(file)
	if err != nil {
		return err
	}
	v, err := judge(file, owner)
	if err != nil {
		return err
	}
	defer v.close()
	fi, err := file.Stat()
	if err != nil {
		return err
	}
	if v.state != Running || v.pid != pid {
		return ErrReplaced
	}
	return sys.RemoveTrusted(f.path, fi)
}

// supersede removes a file whose process is dead, and which is locked only by who may read it: by
// something that this process has left behind, which has inherited the lock, or by anybody else.
// Who has the lock of guard does it, and nobody else.
func (f *File) supersede(path string, owner int) error {
	if err := f.passable(owner); err != nil {
		return err
	}
	if err := f.locate(path); err != nil {
		return err
	}
	release, err := guard(f.path)
	if err != nil {
		return err
	}
	defer release()
	if err := f.current(); err != nil { // another start has gone ahead
		return err
	}
	v, err := judge(f.file, owner)
	if err != nil {
		return err
	}
	defer v.close()
	if v.state != Dead {
		return ErrReplaced
	}
	if err := f.passable(owner); err != nil {
		return err
	}
	if err := sys.Unlink(f.path); err != nil {
		return fmt.Errorf("%w, and it cannot be replaced: %w", ErrLocked, err)
	}
	if busy, err := sys.WriteLocked(f.file); busy || err != nil {
		// by a start that got the lock in the instant before; it finds the file gone, or is found
		// by lost
		return ErrLocked
	}
	return ErrReplaced
}

// passable returns nil if all the locks of the file are such that its process, which is dead,
// cannot mind: by who may only read it.
func (f *File) passable(owner int) error {
	if busy, err := sys.WriteLocked(f.file); busy || err != nil {
		return ErrLocked
	}
	rec, err := read(f.file)
	if err != nil {
		return err
	}
	known := false
	for _, l := range sys.Lockers(f.file) {
		switch {
		case l.PID == os.Getpid() && !l.Flock:
			continue // what f has got of it
		case l.OFD && l.Flock && rec.err != nil:
			// As a daemon has it that was given the lock, whose file somebody has emptied.
			return &heldError{l}
		case l.PID == rec.pid && (trusted(l.UID) || l.UID == owner):
			// It is recorded, and has the lock. That it is dead can only have been the wall clock's
			// word (mismatch), which was set.
			return &heldError{l}
		case !l.OFD && (trusted(l.UID) || l.UID == owner):
			return &heldError{l} // flock(1), say
		}
		known = true
	}
	if known {
		return nil
	}
	if read, err := sys.LockedByOther(f.file); read && err == nil && rec.err == nil {
		return nil // whoever it is
	}
	return ErrLocked
}

// heldError says who has the lock that is no start.
type heldError struct{ sys.Locker }

func (e *heldError) Error() string {
	return fmt.Sprintf("locked by process %d of user %d", e.PID, e.UID)
}

func (*heldError) Is(target error) bool { return target == ErrLocked }

// guard makes us the only one who supersedes the file of that name: by a file beside it that nobody
// else may open, so that nobody else can lock it. It is gone after release.
func guard(path string) (release func(), err error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".start")
	file, _, err := openTrusted(name,
		sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600, Regular: true})
	if err != nil {
		return nil, fmt.Errorf("%w, and it cannot be replaced: %w", ErrLocked, err)
	}
	own := &File{file: file, path: name}
	if owner, err := secure(file); err != nil || !trusted(owner) {
		return nil, sys.Also(
			cmp.Or(err, fmt.Errorf("%w: %s belongs to user %d", ErrInsecure, name, owner)),
			file.Close(),
		)
	}
	if err := sys.TryFlock(file); errors.Is(err, sys.ErrLocked) {
		return nil, sys.Also(ErrLocked, file.Close())
	} else if err != nil {
		return nil, sys.Also(err, file.Close())
	}
	if err := own.current(); err != nil { // who had it before us has removed it
		return nil, sys.Also(err, file.Close())
	}
	return func() {
		_ = sys.Unlink(name) // while it is locked, so that it is ours; left over, it does no harm
		_ = file.Close()     // nothing was written to it
	}, nil
}

// unmake removes a file that we created, if it is empty still, for a claim that failed with cause.
// What another start has locked since is not to be removed.
func (f *File) unmake(path string, cause error) error {
	if !f.locked &&
		(errors.Is(cause, ErrLocked) || errors.Is(cause, sys.ErrLocked) ||
			errors.Is(cause, ErrReplaced)) {
		return nil
	}
	fi, err := f.file.Stat()
	if err != nil || fi.Size() > 0 {
		return err
	}
	return sys.RemoveTrusted(path, fi)
}

func sameFile(a, b *os.File) (bool, error) {
	x, err := a.Stat()
	if err != nil {
		return false, err
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y), err
}
