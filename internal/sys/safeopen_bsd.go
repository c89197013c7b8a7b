//go:build unix && !linux

package sys

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// place holds a directory by its name: without O_PATH a directory that may be
// searched but not read could not be held at all. Somebody who may write a
// directory on the way can exchange a component between two looks at it; the
// last component is compared after opening.
type place struct{ path string }

func openPlace(path string) (place, error) { return place{path}, nil }

func (p place) close() {}

func (p place) stat() (fs.FileInfo, error) { return os.Stat(p.path) }

// join keeps "..": filepath.Join would cut off the component before it, which
// may have been a link of /proc or a mount.
func (p place) join(name string) string { return p.path + string(filepath.Separator) + name }

func (p place) lookup(name string) (entry, error) {
	fi, err := os.Lstat(p.join(name))
	return entry{place{p.join(name)}, fi}, err
}

func (p place) readlink(name string, _ entry) (string, error) { return os.Readlink(p.join(name)) }

// magic: only Linux has links that are more than their text.
func (p place) magic(entry) bool { return false }

func (p place) enterMagic(string) (place, error) { return place{}, Unsupported("magic link") }

func (p place) openMagic(string, string, int) (*os.File, error) {
	return nil, Unsupported("magic link")
}

func (p place) open(name, _ string, flags int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(p.join(name), flags|unix.O_NOFOLLOW, mode)
}

func (p place) remove(name string) error {
	if err := os.Remove(p.join(name)); err != nil {
		return fmt.Errorf("remove it again: %w", err)
	}
	return nil
}

// mkdir makes a directory. Nobody can enter it who may not do so when it has its owner and its
// mode.
func (p place) mkdir(name string, mode fs.FileMode, owner Owner) error {
	if err := os.Mkdir(p.join(name), mode.Perm()&0o700); err != nil {
		return err
	}
	if err := os.Lchown(p.join(name), owner.UID, owner.GID); err != nil {
		return err
	}
	return os.Chmod(p.join(name), mode.Perm()) // of what is ours, in what nobody else can exchange
}
