package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Ballast is room on a disk that is set aside while there is some, for what must be written when
// there is none: a file that is removed then. Whoever writes in its directory owns it; it is not
// for several goroutines. The zero Ballast is none.
type Ballast struct {
	path  string // "": there is none
	size  int    // 0: it has never been there
	given bool   // and not there again yet
}

// ballastFile is its name, in each directory that has one.
const ballastFile = "ballast"

// ballastMost is enough for a few hundred changes of services in the journal, and for the
// descriptions of as many. On a small disk it is less, at least ballastLeast.
const (
	ballastMost  = 256 << 10
	ballastLeast = 16 << 10
)

// Move has it be that of a directory, set aside as far as there is room.
func (b *Ballast) Move(dir string) {
	*b = Ballast{path: filepath.Join(dir, ballastFile)}
	_ = b.fill() // tried again with each file that is made anew
}

// fill sets the room aside, if it is not. Without it everything works until the disk is full.
func (b *Ballast) fill() error {
	if b.path == "" {
		return nil
	}
	fi, err := os.Lstat(b.path)
	if err == nil && fi.Mode().IsRegular() && fi.Size() >= ballastLeast {
		b.size, b.given = int(fi.Size()), false
		return nil
	}
	if err == nil {
		err = os.Remove(b.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for size := ballastMost; size >= ballastLeast; size /= 2 {
		if err = b.create(size); err == nil {
			b.size, b.given = size, false
			return nil
		}
	}
	return err
}

func (b *Ballast) create(size int) error {
	f, _, err := sys.OpenTrusted(b.path, sys.TrustedOpen{
		Flags: os.O_WRONLY | os.O_CREATE | os.O_EXCL, Mode: 0o600, Regular: true,
	})
	if err != nil {
		return err
	}
	// Written, not only allocated: where a file system cannot do that there is no difference, and
	// elsewhere little.
	_, err = f.Write(make([]byte, size))
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(b.path))
	}
	return err
}

// give makes room if err says that there is none, and says whether it did.
func (b *Ballast) give(err error) bool {
	if b.path == "" || b.given || !isFull(err) {
		return false
	}
	b.given = os.Remove(b.path) == nil
	return b.given
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// spare does what may need room, once more if that can be made.
func (b *Ballast) spare(write func() error) error {
	err := write()
	if b.give(err) {
		err = write()
	}
	return err
}

// inUse says that the directory is full, as long as what must be written still is.
func (b *Ballast) inUse() error {
	if !b.given {
		return nil
	}
	dir := filepath.Dir(b.path)
	return fmt.Errorf("no space is left in %s but what was set aside: make room", dir)
}
