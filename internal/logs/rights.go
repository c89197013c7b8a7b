package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// openAppend opens the regular file at path for appending, by a path on which nobody but root and us has a say: in a
// directory that others may write to, a planted link must not turn a log into an overwritten file elsewhere. A link in place
// of the file is refused, whoever made it, because rotation would rename the link.
func openAppend(path string, create bool, perm fs.FileMode, gid int) (*os.File, error) {
	if fi, err := os.Lstat(path); err == nil && fi.Mode().Type() == fs.ModeSymlink {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("a log must not be a symbolic link")}
	}
	o := sys.TrustedOpen{Flags: os.O_RDWR | os.O_APPEND, Regular: true}
	if create {
		o.Flags |= os.O_CREATE
		o.Mode = perm
	}
	if create && gid != 0 {
		o.Owner = &sys.Owner{UID: -1, GID: gid}
	}
	f, _, err := sys.OpenTrusted(path, o)
	return f, err
}

// dirMode is for directories that are made for logs.
const dirMode = 0o750

// makeDirs makes the directory and those above it that are missing, with mode 0750 and the group gid, unless that is 0. None is
// made where somebody else could exchange it, or by way of a link that somebody else may have planted.
func makeDirs(dir string, gid int) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(dir)
	if err := makeDirs(above, gid); err != nil {
		return err
	}
	root, err := openDir(above)
	if err != nil {
		return err
	}
	return errors.Join(makeDir(root, filepath.Base(dir), gid), root.Close())
}

func makeDir(root *os.Root, name string, gid int) error {
	switch err := root.Mkdir(name, dirMode); {
	case errors.Is(err, fs.ErrExist):
		return nil // somebody was faster; what it is, the next step sees
	case err != nil:
		return err
	}
	if gid != 0 {
		if err := root.Lchown(name, -1, gid); err != nil {
			return err
		}
	}
	return root.Chmod(name, dirMode) // whatever the umask is
}

// openDir opens a directory in which nobody but root and us can exchange what we make, by a path on which
// nobody else has a say: what sys.OpenTrusted is for files.
func openDir(dir string) (*os.Root, error) {
	root, err := walkTo(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	fi, err := root.Stat(".")
	if err == nil {
		err = unexchangeable(fi)
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "make a directory in", Path: dir, Err: err}, root.Close())
	}
	return root, nil
}

func unexchangeable(fi fs.FileInfo) error {
	owner, _, err := sys.FileOwner(fi)
	switch mode := fi.Mode(); {
	case err != nil:
		return err
	case !trusted(owner):
		return fmt.Errorf("%w: it belongs to user %d", sys.ErrInsecure, owner.UID)
	case mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0:
		return fmt.Errorf("%w: everybody can write to it", sys.ErrInsecure)
	}
	return nil
}

func trusted(owner sys.Owner) bool { return owner.UID == 0 || owner.UID == os.Geteuid() }

// maxLinks is how many symbolic links Linux follows in one path (path_resolution(7)).
const maxLinks = 40

// walkTo opens the directory at an absolute path, step by step, and follows only links of root's or ours.
func walkTo(dir string) (*os.Root, error) {
	for range maxLinks {
		root, link, err := walkUntilLink(dir)
		if err != nil || root != nil {
			return root, err
		}
		dir = link
	}
	return nil, syscall.ELOOP
}

// walkUntilLink is walkTo as far as the first link. There it returns the path with the link's target in its place.
func walkUntilLink(dir string) (_ *os.Root, link string, err error) {
	at, err := os.OpenRoot("/")
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil || link != "" {
			err = errors.Join(err, at.Close())
		}
	}()
	way, rest := "/", strings.Trim(filepath.Clean(dir), "/")
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		fi, err := at.Lstat(name)
		if err != nil {
			return nil, "", err
		}
		if fi.Mode().Type() == fs.ModeSymlink {
			target, err := trustedTarget(at, name, fi)
			if !filepath.IsAbs(target) {
				target = filepath.Join(way, target)
			}
			return nil, filepath.Join(target, rest), err
		}
		next, err := at.OpenRoot(name)
		if err != nil {
			return nil, "", err
		}
		opened, err := next.Stat(".")
		if err == nil && !os.SameFile(fi, opened) {
			err = fmt.Errorf("%w: %s was exchanged while we looked", sys.ErrInsecure, filepath.Join(way, name))
		}
		if err != nil {
			return nil, "", errors.Join(err, next.Close())
		}
		if err := at.Close(); err != nil {
			return nil, "", errors.Join(err, next.Close())
		}
		at, way = next, filepath.Join(way, name)
	}
	return at, "", nil
}

// trustedTarget returns where a link of root's or ours leads.
func trustedTarget(at *os.Root, name string, fi fs.FileInfo) (string, error) {
	owner, _, err := sys.FileOwner(fi)
	if err != nil {
		return "", err
	}
	if !trusted(owner) {
		return "", fmt.Errorf("%w: %s is a symbolic link of user %d", sys.ErrInsecure, name, owner.UID)
	}
	return at.Readlink(name)
}
