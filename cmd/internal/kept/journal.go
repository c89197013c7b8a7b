package kept

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// All marks the records of all services, none of which has this name.
const All = ""

// journal is what a Keeper has of it.
type journal struct {
	file    *persist.Journal[Record] // nil: nothing is kept. It belongs to the write under way
	ballast persist.Ballast
	moved   bool // the runtime directory is another one from the next write on
}

// NoJournal says that there is none, for no process can be named for ever here; nil if there is.
func (k *Keeper) NoJournal() error {
	if k.journal.file != nil {
		return nil
	}
	return fmt.Errorf("%s: %w", unknown, errors.ErrUnsupported)
}

// beginJournal takes down what is true of services that have changed, or of all.
func (k *Keeper) beginJournal(changed map[string]struct{}) (write func() error, written func()) {
	j := &k.journal
	if j.file == nil {
		return func() error { return nil }, nil
	}
	if j.moved {
		j.moved = false
		j.file.Move(k.dirs.Runtime)
	}
	if _, all := changed[All]; all || j.file.Grown() {
		list := k.o.Source.Records()
		return func() error { return j.file.Replace(list) }, nil
	}
	list := make([]Record, 0, len(changed))
	for name := range changed {
		r, ok := k.o.Source.Record(name)
		if !ok {
			r = Record{Name: name, Gone: true}
		}
		list = append(list, r)
	}
	return func() error { return j.file.Append(list) }, nil
}

// Save writes the journal anew, and has done run by the owner when it is on disk or can not be.
func (k *Keeper) Save(done func(error)) {
	if k.journal.file == nil {
		done(errors.ErrUnsupported)
		return
	}
	k.Journal.Mark(All)
	k.Journal.Await(done)
}

// Take makes what was found ours, with what the owner has made of it.
func (k *Keeper) Take(left Left) error {
	if k.journal.file == nil {
		return nil
	}
	k.Journal.Mark(All)
	if err := k.journal.file.Take(left.Found, k.o.Source.Records()); err != nil {
		return fmt.Errorf(journalFailing+": %w", err)
	}
	return nil
}

// Missing says whether somebody has removed the journal that is to be in a directory. One that is
// being written, or that cannot be, is not there for that reason, and is tried again by those who
// write it.
func (k *Keeper) Missing(runtimeDir string) bool {
	if k.Journal.Busy() || k.Journal.Failing() != nil {
		return false
	}
	_, err := os.Lstat(filepath.Join(runtimeDir, persist.JournalFile))
	return errors.Is(err, fs.ErrNotExist)
}

// Move begins to write the journal in another directory, or anew in the same.
func (k *Keeper) Move(runtimeDir string) {
	k.dirs.Runtime, k.journal.moved = runtimeDir, true
	k.Journal.Write(All)
	if err := k.journal.file.Owner.Claim(runtimeDir); err != nil {
		k.o.Trouble(err) // it is for who finds no journal
	}
}

func (k *Keeper) leaveJournal() error {
	if k.journal.file == nil {
		return nil
	}
	k.Journal.Mark(All)
	return errors.Join(k.Journal.Flush(), k.journal.file.Close())
}

func (k *Keeper) endJournal() error {
	if k.journal.file == nil {
		return nil
	}
	k.Journal.End()
	return k.journal.file.Remove()
}
