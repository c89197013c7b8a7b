// Package kept has on disk what a supervisor must find again of its services: what is true of each,
// how it is described, whether it is wanted; and reads what the supervisor before it has left.
//
// How it comes to disk is package persist.
package kept

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// Dirs are the directories of a supervisor.
type Dirs struct {
	Runtime string // the journal; gone after a reboot
	State   string // the state files; kept over a reboot
	// Displaced is the state directory of another kind of supervisor that may have had Runtime
	// before. "": there is none.
	Displaced string
}

// Source is who has the services. Its owner alone asks it. What it answers is written elsewhere,
// and is not changed by anybody any more.
type Source interface {
	// Record is what is true of the service of that name at this moment; not ok: there is none.
	Record(name string) (r Record, ok bool)
	// Records are those of all, with the services of an earlier supervisor that nothing describes.
	Records() []Record
	// Specs is what there is, and Wants what is wanted of it. Their versions are not its business.
	Specs() Specs
	Wants() Wants
	// Environs takes down the environments that Specs names. What it returns saves them, for
	// before Specs is written, and removes all others, for after that.
	Environs() (save, sweep func() error)
}

// Options are what a Keeper needs of its owner.
type Options struct {
	Source Source
	// Post has a function run by the owner, after what it is doing now.
	Post func(func())
	// Trouble is told why something is not on disk. It may be called by any goroutine.
	Trouble func(error)
	// Tell is for everybody: why services would be forgotten, and that they would not be any more.
	Tell func(string)
}

// Keeper keeps the journal and the state files up to date. It is for the owner alone.
type Keeper struct {
	// Journal is marked with the names of services, or with All, and never behind: what it says of
	// a service counts.
	Journal *persist.Writer[string]
	// State is marked with SpecsFile and WantsFile; whatever is marked, the latter is written.
	State *persist.Writer[string]
	// Replace makes a state file anew. Tests have another one.
	Replace func(persist.StateFile) error

	o       Options
	dirs    Dirs
	journal journal
	state   state
}

// New makes a Keeper that has no journal before Open.
func New(o Options) *Keeper {
	k := &Keeper{o: o, Replace: persist.StateFile.Replace}
	k.Journal = persist.NewWriter(persist.Config[string]{
		Post: o.Post, Begin: k.beginJournal, Ballast: &k.journal.ballast,
		Trouble: k.unwritten, Recovered: o.Tell,
		Failing: journalFailing, Again: "the journal of services is on disk again",
	})
	k.State = persist.NewWriter(persist.Config[string]{
		Post: o.Post, Begin: k.beginState, Behind: k.Journal.Await, Ballast: &k.state.ballast,
		Trouble: k.unwritten, Recovered: o.Tell,
		Failing: stateFailing, Again: "what is wanted is on disk again",
	})
	return k
}

const (
	journalFailing = "a supervisor in our place would not know the services again"
	stateFailing   = "what is wanted is not on disk"
	unknown        = "a successor would not know the services again"
)

// Open sets room aside in the directories, and changes nothing else in them: that is for Take.
func (k *Keeper) Open(dirs Dirs) error {
	k.dirs = dirs
	k.state.ballast.Move(dirs.State)
	head, err := persist.NewHead()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // without a boot id no process can be named for ever
	}
	if err != nil {
		return err
	}
	k.journal.ballast.Move(dirs.Runtime)
	k.journal.file = persist.NewJournal[Record](dirs.Runtime, persist.Owner{
		Dir: dirs.State, Head: head, Displaced: dirs.Displaced,
		Ballast: &k.state.ballast, Trouble: k.o.Trouble,
	}, &k.journal.ballast)
	return nil
}

// unwritten tells everybody why something is not on disk.
func (k *Keeper) unwritten(err error) {
	k.o.Trouble(err)
	k.o.Tell(err.Error())
}

// Busy says whether something is being written.
func (k *Keeper) Busy() bool { return k.State.Busy() || k.Journal.Busy() }

// Failing says what a successor would not know, and why that could not be written last; nil if it
// could.
func (k *Keeper) Failing() error {
	if err := k.Journal.Failing(); err != nil {
		return fmt.Errorf("%s: %w", unknown, err)
	}
	if err := k.State.Failing(); err != nil {
		return fmt.Errorf("%s: %w", stateFailing, err)
	}
	return nil
}

// Write begins to write what is marked, also what could wait.
func (k *Keeper) Write() {
	k.Journal.WriteLater()
	k.State.Write()
}

// Leave is the end of a Keeper that is not busy, of which the next supervisor has to know what may
// still run.
func (k *Keeper) Leave() error { return errors.Join(k.flushState(), k.leaveJournal()) }

// End is the end of a Keeper that is not busy, when nothing runs any more. What is wanted stays.
func (k *Keeper) End() error { return errors.Join(k.flushState(), k.endJournal()) }
