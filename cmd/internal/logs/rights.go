package logs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/sys"
)

// openAppend opens the regular file at path for appending, by a path on which nobody but root and
// us has a say: in a directory that others may write to, a planted link must not turn a log into an
// overwritten file elsewhere. A link in place of the file is refused, whoever made it, because
// rotation would rename the link.
func openAppend(path string, create bool, perm fs.FileMode, gid int) (*os.File, error) {
	if fi, err := os.Lstat(path); err == nil && fi.Mode().Type() == fs.ModeSymlink {
		return nil, &fs.PathError{
			Op:   "open",
			Path: path,
			Err:  errors.New("a log must not be a symbolic link"),
		}
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

// makeDirs makes the directory and those above it that are missing, with mode 0750 and the group
// gid, unless that is 0. None is made where somebody else could exchange it, or by way of a link
// that somebody else may have planted.
func makeDirs(dir string, gid int) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDirs(filepath.Dir(dir), gid); err != nil {
		return err
	}
	owner := sys.Owner{UID: -1, GID: -1}
	if gid != 0 {
		owner.GID = gid
	}
	err := sys.MakeTrustedDir(dir, dirMode, owner)
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody was faster; what it is, the next step sees
	}
	return err
}
