package socket

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// maxLinks is how many symbolic links Linux follows in one path (path_resolution(7)).
const maxLinks = 40

// trustedDir returns the real name of a directory to which nobody but root and we can have led, and
// whether it belongs to user. Every directory on the way belongs to root or to us, and others can
// write to it only if it is sticky, so that they cannot exchange what is in it; links are followed
// if root or we made them. The last directory may be the user's.
func trustedDir(dir string, user int) (string, bool, error) {
	if !filepath.IsAbs(dir) {
		return "", false, fmt.Errorf("%s: not an absolute path", dir)
	}
	at, names, links := "/", strings.Split(dir, "/"), 0
	for {
		for len(names) > 0 && (names[0] == "" || names[0] == ".") {
			names = names[1:]
		}
		his, err := judgeDir(at, user, len(names) == 0)
		if err != nil || len(names) == 0 {
			return at, his, err
		}
		next := filepath.Join(at, names[0])
		info, err := os.Lstat(next)
		if err != nil {
			return "", false, err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at, names = next, names[1:]
			continue
		}
		owner, _, err := sys.FileOwner(info)
		if err != nil {
			return "", false, err
		}
		if !trusted(owner.UID) {
			return "", false, fmt.Errorf("%w: %s is a symbolic link owned by user %d",
				sys.ErrInsecure, next, owner.UID)
		}
		if links++; links > maxLinks {
			return "", false, fmt.Errorf("%s: %w", next, syscall.ELOOP)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", false, err
		}
		names = append(strings.Split(target, "/"), names[1:]...)
		if filepath.IsAbs(target) {
			at = "/"
		}
	}
}

// judgeDir says whether others could exchange what is in a directory, and, of the last one, whether
// it is the user's.
func judgeDir(dir string, user int, last bool) (his bool, err error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s: %w", dir, syscall.ENOTDIR)
	}
	owner, _, err := sys.FileOwner(info)
	if err != nil {
		return false, err
	}
	his = last && owner.UID == user && !trusted(user)
	switch {
	case !trusted(owner.UID) && !his:
		return false, fmt.Errorf("%w: directory %s belongs to user %d",
			sys.ErrInsecure, dir, owner.UID)
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return false, fmt.Errorf("%w: others may write to directory %s (%v)",
			sys.ErrInsecure, dir, info.Mode())
	}
	return his, nil
}

func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }
