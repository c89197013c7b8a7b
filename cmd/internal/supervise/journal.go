package supervise

import (
	"context"
	"errors"

	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/control"
)

// journal keeps up to date what a successor must know of services (record). Its Writer is of their
// names.
type journal struct {
	*persist.Writer[string]
	file    *persist.Journal[record] // nil: nothing is kept. It belongs to the write under way
	ballast persist.Ballast
	moved   bool              // the runtime directory is another one from the next write on
	unknown map[string]record // of an earlier supervisor's services that nothing describes
}

// everything marks all services, none of which has this name.
const everything = ""

const journalFailing = "a supervisor in our place would not know the services again"

func (e *Engine) openJournal() error {
	head, err := persist.NewHead()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // without a boot id no process can be named for ever
	}
	if err != nil {
		return err
	}
	e.journal.ballast.Move(e.o.RuntimeDir)
	e.keepJournal(e.o.RuntimeDir, head)
	return nil
}

func (e *Engine) keepJournal(dir string, head persist.Head) {
	e.journal.file = persist.NewJournal[record](dir, persist.Owner{
		Dir: e.o.StateDir, Head: head, Displaced: e.o.Displaced,
		Ballast: &e.state.ballast, Trouble: e.o.Trouble,
	}, &e.journal.ballast)
}

// newWriters are those of the journal and of the state files. The journal is never behind: what it
// says of a service counts.
func (e *Engine) newWriters() {
	e.journal.Writer = persist.NewWriter(persist.Config[string]{
		Post: e.post, Begin: e.beginJournal, Ballast: &e.journal.ballast,
		Trouble: e.tellUnwritten, Recovered: e.tellTrouble,
		Failing: journalFailing, Again: "the journal of services is on disk again",
	})
	e.state.Writer = persist.NewWriter(persist.Config[string]{
		Post: e.post, Begin: e.beginState, Behind: e.journal.Await, Ballast: &e.state.ballast,
		Trouble: e.tellUnwritten, Recovered: e.tellTrouble,
		Failing: stateFailing, Again: "what is wanted is on disk again",
	})
}

// tellUnwritten tells everybody why something is not on disk.
func (e *Engine) tellUnwritten(err error) {
	e.o.Trouble(err)
	e.tellTrouble(err.Error())
}

func (e *Engine) tellTrouble(text string) { e.tell(control.EventTrouble, text) }

// beginJournal takes down what is true of services that have changed, or of all.
func (e *Engine) beginJournal(changed map[string]struct{}) (write func() error, written func()) {
	j := &e.journal
	if j.file == nil {
		return func() error { return nil }, nil
	}
	if j.moved {
		j.moved = false
		j.file.Move(e.o.RuntimeDir)
	}
	if _, all := changed[everything]; all || j.file.Grown() {
		list := e.records()
		return func() error { return j.file.Replace(list) }, nil
	}
	list := make([]record, 0, len(changed))
	for name := range changed {
		r := record{Name: name, Gone: true}
		if s := e.services.Named(name); s != nil {
			r = e.record(s)
		}
		list = append(list, r)
	}
	return func() error { return j.file.Append(list) }, nil
}

// records are those of all services.
func (e *Engine) records() []record {
	list := make([]record, 0, e.services.Len()+len(e.journal.unknown))
	for _, s := range e.services.Sorted() {
		list = append(list, e.record(s))
	}
	for _, r := range e.journal.unknown {
		list = append(list, r)
	}
	return list
}

// note has the journal say what is true of s now.
func (e *Engine) note(s *service) {
	if s = s.registered(); e.services.Named(s.Name()) == s {
		e.journal.Write(s.Name())
	}
}

// Note is note, and NoteSoon for what changes as often as a service likes.
func (s *service) Note()     { s.engine.note(s) }
func (s *service) NoteSoon() { s.engine.journal.WriteSoon(s.Name()) }

// Noted calls then when what is true of s is on disk, or cannot be written.
func (s *service) Noted(then func()) {
	s.Note()
	s.engine.journal.Await(func(error) { then() })
}

// Save writes all that a successor needs, and returns when it is on disk.
func (e *Engine) Save(ctx context.Context) error {
	done := make(chan error, 1)
	if err := e.ask(ctx, func() {
		if e.journal.file == nil {
			done <- errors.ErrUnsupported
			return
		}
		e.journal.Mark(everything)
		e.journal.Await(func(err error) { done <- err })
	}); err != nil {
		return err
	}
	return e.answered(ctx, done)
}

// endJournal ends the journal of an engine that has ended every service.
func (e *Engine) endJournal() error {
	j := &e.journal
	switch {
	case j.file == nil:
		return nil
	case e.leavesBehind(): // of what may still run the next supervisor has to know
		j.Mark(everything)
		return errors.Join(j.Flush(), j.file.Close())
	}
	j.End()
	return j.file.Remove()
}

// Owned is persist.Owned.
func Owned(stateDir string) bool { return persist.Owned(stateDir) }

// CutOff is persist.CutOff.
func CutOff(stateDir string) bool { return persist.CutOff(stateDir) }
