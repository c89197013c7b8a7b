package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// ballast is room on a disk that is set aside while there is some, for what must be written when
// there is none: a file that is removed then. Whoever writes in its directory owns it; it is not
// for several goroutines.
type ballast struct {
	path  string
	size  int  // 0: it has never been there
	given bool // and not there again yet
}

// ballastFile is its name, in the runtime directory and in the state directory.
const ballastFile = "ballast"

// ballastMost is enough for a few hundred changes of services in the journal, and for the
// descriptions of as many. On a small disk it is less, at least ballastLeast.
const (
	ballastMost  = 256 << 10
	ballastLeast = 16 << 10
)

// fill sets the room aside, if it is not. Without it everything works until the disk is full.
func (b *ballast) fill() error {
	if b == nil {
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

func (b *ballast) create(size int) error {
	f, _, err := sys.OpenTrusted(b.path, sys.TrustedOpen{Flags: os.O_WRONLY | os.O_CREATE | os.O_EXCL, Mode: 0o600, Regular: true})
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
func (b *ballast) give(err error) bool {
	if b == nil || b.given || !isFull(err) {
		return false
	}
	b.given = os.Remove(b.path) == nil
	return b.given
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// spare does what may need room, once more if that can be made.
func (b *ballast) spare(write func() error) error {
	err := write()
	if b.give(err) {
		err = write()
	}
	return err
}

// newBallast is that of a directory, set aside as far as there is room.
func newBallast(dir string) *ballast {
	b := &ballast{path: filepath.Join(dir, ballastFile)}
	_ = b.fill() // tried again with each file that is made anew
	return b
}

// tellBallast says once that a directory is full, while what must be written still is. told
// remembers that.
func (e *Engine) tellBallast(told *bool, b *ballast) {
	if b == nil || b.given == *told {
		return
	}
	if *told = b.given; b.given {
		err := fmt.Errorf("no space is left in %s but what was set aside: make room", filepath.Dir(b.path))
		e.o.Trouble(err)
		e.emit(nil, Event{Kind: EventTrouble, Reason: err.Error()})
	}
}
