package pidfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// maxLost bounds how many removed files of one name are looked at: of each start whose file was taken there is one.
const maxLost = 64

// lost finds the running process whose pid file was called path and has been removed: by a cleaner of /tmp, say. It still
// has it open, locked. Only what root or we own counts: anybody may have a file of that name open where it was.
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

// restore has a file that we have just made say again whose it is, if one of its name was removed while its process lives.
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
		return also(&RunningError{Path: f.path, PID: v.pid}, err)
	}
	return &RunningError{Path: f.path, PID: v.pid}
}

// removeRestored removes the file that a start has put where ours was taken away: it has our pid, and our fingerprint.
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

// supersede puts the file aside whose process is dead, and which is locked only because something that this process has left
// behind has inherited the lock. Whoever has the lock for a start does it, and nobody else.
func (f *File) supersede(path string) error {
	if busy, err := sys.StartInProgress(f.file); busy || err != nil {
		return ErrLocked
	}
	if heldForLife, err := sys.LockedByOther(f.file); !heldForLife || err != nil {
		return ErrLocked // by a program that knows nothing of us, such as flock(1)
	}
	if err := sys.LockForStart(f.file); err != nil {
		return ErrLocked
	}
	if err := f.locate(path); err != nil {
		return err
	}
	owner, err := secure(f.file)
	if err != nil {
		return err
	}
	v, err := judge(f.file, owner) // again: another start may have gone ahead
	if err != nil {
		return err
	}
	defer v.close()
	if v.state != Dead || v.pid == 0 {
		return ErrReplaced
	}
	if err := syscall.Unlink(f.path); err != nil && err != syscall.ENOENT {
		return os.NewSyscallError("unlink", err)
	}
	return ErrReplaced
}

// unmake removes a file that we created, if it is empty still, for a claim that failed with cause. What another start
// has locked since is not to be removed.
func (f *File) unmake(path string, cause error) error {
	if !f.locked && (errors.Is(cause, ErrLocked) || errors.Is(cause, sys.ErrLocked) || errors.Is(cause, ErrReplaced)) {
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
