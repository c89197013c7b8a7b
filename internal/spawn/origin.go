package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/daemonry/daemonry/internal/sys"
)

// origin is the directory in which the program was started, where the relative paths of its
// arguments begin: of a successor, that of the first process. There is one process, so there is
// one. It is held by a descriptor, because a name does not follow a directory that is renamed, and
// may lead to another one later. That keeps its file system busy, so only a program is left with it
// that will have successors.
var origin struct {
	sync.Mutex
	dir  *os.File // nil: none
	name string   // for people, and to find what is relative to it
	kept bool
	// now is where the predecessor was; nil if this process is there, or has none
	now *os.File
}

const directoryName = "directory"

// OpenOrigin opens the directory in which this process is, because it is about to change to another
// one, for a KeepOrigin that may follow. A directory that we must not search is none: no relative
// path can have been opened there.
func OpenOrigin() error {
	origin.Lock()
	defer origin.Unlock()
	return openOrigin()
}

func openOrigin() error {
	if origin.dir != nil {
		return nil
	}
	dir, err := sys.OpenDir(".")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep the working directory for successors: %w", err)
	}
	origin.dir = dir
	if origin.name, err = os.Getwd(); err != nil {
		origin.name = "" // it has none any more
	}
	return nil
}

// KeepOrigin has every successor begin where this program began, and returns the name of that
// directory; "" if there is none, or it has none.
func KeepOrigin() (name string, err error) {
	origin.Lock()
	defer origin.Unlock()
	if origin.dir != nil && !origin.kept {
		// Since it was opened this process may have become another user.
		if err := sys.MayEnter(origin.dir); errors.Is(err, fs.ErrPermission) {
			closeOrigin()
			return "", nil
		}
	}
	if err := openOrigin(); err != nil {
		return "", err
	}
	origin.kept = origin.dir != nil
	return origin.name, nil
}

// LeaveOrigin is for a program that has no successors, if it has not called KeepOrigin.
func LeaveOrigin() {
	origin.Lock()
	defer origin.Unlock()
	if !origin.kept {
		closeOrigin()
	}
}

// DropOrigin is for a process that changes its root: a directory outside would be a way out of it.
func DropOrigin() {
	origin.Lock()
	defer origin.Unlock()
	closeOrigin()
	closeFile(&origin.now)
}

func closeOrigin() {
	closeFile(&origin.dir)
	origin.name, origin.kept = "", false
}

func closeFile(f **os.File) {
	if *f != nil {
		(*f).Close() // a directory, which has nothing to flush
		*f = nil
	}
}

// withOrigin adds the two directories to what a successor is given: the one where it begins, and
// the one where it goes on (Arrive). done closes what is open for that.
func withOrigin(list []Handover) (all []Handover, done func(), err error) {
	origin.Lock()
	defer origin.Unlock()
	if origin.dir == nil {
		return list, func() {}, nil
	}
	now, err := sys.OpenDir(".")
	if err != nil {
		return nil, nil, fail(StepDirectory, ".", err)
	}
	var e encoder
	e.string(origin.name)
	files := []*os.File{origin.dir, now}
	return append(slices.Clone(list), Handover{
		Name: directoryName,
		Give: func() ([]byte, []*os.File) { return e.b, files },
	}), func() { now.Close() }, nil
}

// begin has a successor begin where the first process did. One that an older version started is in
// its predecessor's directory, and stays there.
func (b *Born) begin() error {
	data, files, found := b.Handover(directoryName)
	if !found {
		return nil
	}
	d := decoder{b: data}
	origin.name = d.string()
	if d.err != nil || len(files) != 2 {
		return errTruncated
	}
	origin.dir, origin.now, origin.kept = files[0], files[1], true
	if err := origin.dir.Chdir(); err != nil {
		return fail(StepDirectory, origin.name, err)
	}
	return nil
}

// Arrive has a successor go on in the directory in which its predecessor was. A second call does
// nothing.
func Arrive() error {
	origin.Lock()
	defer origin.Unlock()
	if origin.now == nil {
		return nil
	}
	defer closeFile(&origin.now)
	if err := origin.now.Chdir(); err != nil {
		return fmt.Errorf("go on in the predecessor's directory: %w", err)
	}
	return nil
}

// Stay has Arrive do nothing: this process has gone elsewhere by itself.
func Stay() {
	origin.Lock()
	defer origin.Unlock()
	closeFile(&origin.now)
}
