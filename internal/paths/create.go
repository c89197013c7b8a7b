package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/sys"
)

// Create makes the runtime, state and log directories with mode 0700, and
// those above them as far as they are missing. What exists must be a directory
// of ours that nobody else can write to or exchange; anything else is an error
// that wraps [sys.ErrInsecure], and is left as it is.
//
// The runtime directory gets its mode whatever it had, and with a group that group and mode 0750:
// connecting to the socket in it is then up to the group as well. Root's lets everybody pass
// through, and not look into it (0711, 0751): its services run as other users, and the socket of
// sd_notify(3) is in there; everything else in it is closed by a mode of its own. A log directory
// that root makes is given to the group adm, with mode 0750, where there is one. It and the state
// directory keep a mode that lets somebody read.
func (p Paths) Create(group *int) error {
	return making(func(m *made) error {
		if err := p.createState(m); err != nil {
			return err
		}
		return p.createRuntime(group, m)
	})
}

// passing is what everybody may do in a runtime directory of ours.
func passing() fs.FileMode {
	if os.Geteuid() == 0 {
		return 0o001
	}
	return 0
}

// Check looks at the runtime directory before a client trusts the socket in
// it: it must be ours or root's, out of everybody else's reach. Root may ask
// anybody's supervisor. That there is no such directory is [fs.ErrNotExist].
func (p Paths) Check() error {
	uid := os.Geteuid()
	f, err := open(p.Runtime,
		func(owner int) bool { return uid == 0 || owner == uid || owner == 0 })
	if err != nil {
		return err
	}
	return f.Close()
}

func create(dir string, made *made) (f *os.File, created bool, err error) {
	ours := func(owner int) bool { return owner == os.Geteuid() }
	if err := checkAbove(dir, ours); err != nil {
		return nil, false, err
	}
	// Not closed to others where root makes it: /var/lib is everybody's to enter.
	above := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		above = 0o755
	}
	if err := made.mkdirAll(filepath.Dir(dir), above); err != nil {
		return nil, false, fmt.Errorf("create %s: %w", dir, err)
	}
	before := len(made.dirs)
	if err := made.mkdir(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("create %s: %w", dir, err)
	}
	f, err = open(dir, ours)
	return f, len(made.dirs) > before, err
}

// checkAbove judges the way to a directory that is to be made, as far as it is there: where it is
// refused nothing is made.
func checkAbove(dir string, ours func(owner int) bool) error {
	for at := filepath.Dir(dir); at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		real, err := checkWay(at, ours)
		if err == nil {
			err = checkUpFrom(real, ours)
		}
		if err != nil {
			return fmt.Errorf("directory %s: %w", dir, err)
		}
		break
	}
	return nil
}

// open opens a directory that nobody but ours can have put there. The way to
// it is judged first: then nobody else can exchange what is at its end.
func open(dir string, ours func(owner int) bool) (*os.File, error) {
	real, err := checkWay(dir, ours)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return nil, err
	}
	if err := checkDir(fi, ours); err != nil {
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(fi, opened) {
		err = fmt.Errorf("directory %s: exchanged while it was looked at: %w", dir, sys.ErrInsecure)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func checkDir(fi fs.FileInfo, ours func(owner int) bool) error {
	owner, _, err := sys.FileOwner(fi)
	switch {
	case err != nil:
		return err
	case !fi.IsDir():
		return fmt.Errorf("is no directory: %w", sys.ErrInsecure)
	case !ours(owner.UID):
		return fmt.Errorf("belongs to user %d: %w", owner.UID, sys.ErrInsecure)
	case fi.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("mode %#o lets others write to it: %w", fi.Mode().Perm(), sys.ErrInsecure)
	}
	return nil
}

// checkWay judges what is above dir, and returns dir without symbolic links.
// Those must be ours or root's, and so must the directories. One
// that everybody may write to needs the sticky bit, which keeps them from renaming what
// is not theirs; one that its group may write to is let pass, for where every
// user has a group of their own, homes are such.
func checkWay(dir string, ours func(owner int) bool) (string, error) {
	trusted := func(uid int) bool { return uid == 0 || uid == os.Geteuid() || ours(uid) }
	for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
		fi, err := os.Lstat(at)
		if err != nil {
			return "", err
		}
		if owner, _, err := sys.FileOwner(fi); err != nil {
			return "", err
		} else if fi.Mode().Type() == fs.ModeSymlink && !trusted(owner.UID) {
			return "", fmt.Errorf("%s is a link of user %d: %w", at, owner.UID, sys.ErrInsecure)
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	if real == filepath.Dir(real) {
		return real, nil
	}
	return real, checkUpFrom(filepath.Dir(real), ours)
}

// checkUpFrom judges a directory without symbolic links, and those above it, as the way to one of
// ours.
func checkUpFrom(dir string, ours func(owner int) bool) error {
	trusted := func(uid int) bool { return uid == 0 || uid == os.Geteuid() || ours(uid) }
	for at := dir; ; at = filepath.Dir(at) {
		fi, err := os.Lstat(at)
		if err != nil {
			return err
		}
		owner, _, err := sys.FileOwner(fi)
		switch {
		case err != nil:
			return err
		case !trusted(owner.UID) && !sys.Unmapped(owner.UID):
			// in a container that maps but one user, the root directory
			return fmt.Errorf("%s above it belongs to user %d: %w", at, owner.UID, sys.ErrInsecure)
		case fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0:
			return fmt.Errorf("everybody can write to %s above it: %w", at, sys.ErrInsecure)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// share sets group and mode, which gives others the rights in others, through a descriptor, so that
// they are those of the directory that was checked.
func share(dir *os.File, what string, group *int, others fs.FileMode) error {
	mode := 0o700 | others<<3 | others
	if group != nil {
		mode = 0o750 | others
		if err := dir.Chown(-1, *group); err != nil {
			return fmt.Errorf("give the %s directory to group %d: %w", what, *group, err)
		}
	}
	if err := dir.Chmod(mode); err != nil {
		return fmt.Errorf("%s directory: %w", what, err)
	}
	return nil
}
