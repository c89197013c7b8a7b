package upgrade

import (
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/daemonry/daemonry/listen"
)

// networkFile stands in a note for what is no socket, or is not opened as one.
const networkFile = "file"

// File returns the open file of that name that a predecessor had, or else what open returns; with a
// nil open, an error that wraps fs.ErrNotExist. It is for what must outlive the process: a lock, a
// memory file, a connection. It is the same open file (open(2)) in all of the processes, position
// included; closing it here does not close it there. A file that was closed is not handed to
// successors. For what each process makes anew, see AddFile.
func (u *Upgrader) File(name string, open func() (*os.File, error)) (*os.File, error) {
	if open == nil {
		open = func() (*os.File, error) { return nil, errNotHanded }
	}
	return openAs(u, socketNote{Name: name, Network: networkFile},
		func(listen.Address) (*os.File, error) { return open() }, (*listen.Socket).File)
}

var errNotHanded = fmt.Errorf("the predecessor handed no such file over: %w", fs.ErrNotExist)

// AddFile hands f to successors as the file of that name, in the place of the one that they would
// get: for what each process makes anew and the next one reads, such as its state. f remains the
// program's: it is to be open at the time of the upgrade, and a successor has the same open file,
// position included. What a predecessor added is got with File and a nil open, before AddFile.
func (u *Upgrader) AddFile(name string, f *os.File) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.addFile(name, f); err != nil {
		return fmt.Errorf("upgrade: add file %s: %w", name, err)
	}
	return nil
}

func (u *Upgrader) addFile(name string, f *os.File) error {
	if err := nameable(name); err != nil {
		return err
	}
	old := u.open(name)
	if old != nil && old.Network != networkFile {
		return fmt.Errorf("there is a %s of that name", old.what())
	}
	s := &socket{socketNote: socketNote{Name: name, Network: networkFile}, conn: f, owned: true}
	d, err := s.dup()
	if err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	if u.o.Store {
		if _, err := u.o.Notify.RemoveFDs(name); err != nil {
			return err
		}
		if err := u.store(s); err != nil {
			return err
		}
	}
	u.sockets = append(slices.DeleteFunc(u.sockets, func(s *socket) bool { return s == old }), s)
	return nil
}
