package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// notes is how the owner keeps the journal up to date for a successor. It never waits for it: a
// write is done by a goroutine, one at a time, and what changes meanwhile is written together after
// it.
type notes struct {
	journal   *journal // nil: nothing is kept. It belongs to the write under way
	changed   map[*service]struct{}
	gone      map[string]struct{}
	spoken    map[*service]struct{} // of changed, those for which soon is soon enough
	then      []func(error)         // to be run when what has changed until now is written, or can not be
	all       bool                  // the journal is to be made anew
	path      string                // where it is to be from the next write on; "" where it is
	writing   bool
	onBallast bool // and what was set aside for it is in use, which was told
	failing   error
	pause     time.Duration
	retry     *time.Timer
	soon      *time.Timer
}

// journalFile is the journal's name in the runtime directory.
const journalFile = "services.journal"

func (e *Engine) openNotes() error {
	head, err := newJournalHead()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // without a boot id no process can be named for ever
	}
	if err != nil {
		return err
	}
	e.notes.journal = &journal{path: filepath.Join(e.o.RuntimeDir, journalFile), head: head, ballast: newBallast(e.o.RuntimeDir)}
	return nil
}

// note has the journal say what is true of s now.
func (e *Engine) note(s *service) {
	s = s.registered()
	if e.notes.journal == nil || e.byName[s.spec.Name] != s {
		return
	}
	if e.notes.changed == nil {
		e.notes.changed = map[*service]struct{}{}
	}
	e.notes.changed[s] = struct{}{}
	delete(e.notes.gone, s.spec.Name)
	e.writeNotes()
}

// noteDelay is for what a service may change as often as it likes.
const noteDelay = time.Second

// noteSoon is note for what can wait.
func (e *Engine) noteSoon(s *service) {
	n := &e.notes
	if n.journal == nil {
		return
	}
	if n.spoken == nil {
		n.spoken = map[*service]struct{}{}
	}
	n.spoken[s] = struct{}{}
	if n.soon != nil {
		return
	}
	n.soon = time.AfterFunc(noteDelay, func() {
		e.post(func() {
			for s := range n.spoken {
				e.note(s)
			}
			n.soon, n.spoken = nil, nil
		})
	})
}

// noteGone has the journal forget a service.
func (e *Engine) noteGone(s *service) {
	if e.notes.journal == nil {
		return
	}
	if e.notes.gone == nil {
		e.notes.gone = map[string]struct{}{}
	}
	delete(e.notes.changed, s)
	e.notes.gone[s.spec.Name] = struct{}{}
	e.writeNotes()
}

// noted has f run by the owner when all that was noted before is written, or with the reason why it
// can not be: that a successor would not know a service is no reason not to start it.
func (e *Engine) noted(f func(error)) {
	if e.notes.journal == nil {
		f(nil)
		return
	}
	e.notes.then = append(e.notes.then, f)
	e.writeNotes()
}

// described takes note of a new description.
func (e *Engine) described(s *service) {
	e.store.last++
	s.described = e.store.last
	e.note(s)
}

// writeNotes begins a write, unless one is under way or there is nothing to write.
func (e *Engine) writeNotes() {
	n := &e.notes
	if n.writing || len(n.changed)+len(n.gone)+len(n.then) == 0 && !n.all {
		return
	}
	n.writing = true
	if n.path != "" { // nobody writes at the moment
		n.journal.path, n.path = n.path, ""
		n.journal.ballast = newBallast(filepath.Dir(n.journal.path))
	}
	all := n.all || n.journal.grown()
	list, then := e.records(all), n.then
	n.all, n.then = false, nil
	clear(n.changed)
	clear(n.gone)
	go func() {
		err := n.journal.write(list, all)
		e.post(func() { e.notesWritten(then, err) })
	}()
}

// records are those of all services, or those that have changed.
func (e *Engine) records(all bool) []record {
	if all {
		list := make([]record, 0, len(e.byName))
		for _, s := range e.sorted() {
			list = append(list, e.record(s))
		}
		for _, r := range e.unknown {
			list = append(list, r)
		}
		return list
	}
	list := make([]record, 0, len(e.notes.gone)+len(e.notes.changed))
	for name := range e.notes.gone {
		list = append(list, record{Name: name, Gone: true})
	}
	for s := range e.notes.changed {
		list = append(list, e.record(s))
	}
	return list
}

func (e *Engine) notesWritten(then []func(error), err error) {
	n := &e.notes
	n.writing = false
	for _, f := range then {
		f(err)
	}
	if err == nil {
		e.tellBallast(&n.onBallast, n.journal.ballast)
		if n.failing != nil {
			e.emit(nil, Event{Kind: EventTrouble, Reason: "the journal of services is on disk again"})
		}
		n.failing, n.pause = nil, 0
		e.writeNotes()
		return
	}
	n.all = true
	if n.failing == nil || n.failing.Error() != err.Error() {
		err := fmt.Errorf("a supervisor in our place would not know the services again: %w", err)
		e.o.Trouble(err)
		e.emit(nil, Event{Kind: EventTrouble, Reason: err.Error()})
	}
	n.failing = err
	if len(n.then) > 0 {
		e.writeNotes() // somebody has come meanwhile
		return
	}
	n.pause = min(max(2*n.pause, firstStorePause), longestStorePause)
	if n.retry != nil {
		n.retry.Stop()
	}
	n.retry = time.AfterFunc(n.pause, func() { e.post(e.writeNotes) })
}

// Save writes all that a successor needs, and returns when it is on disk.
func (e *Engine) Save(ctx context.Context) error {
	done := make(chan error, 1)
	if err := e.ask(ctx, func() {
		if e.notes.journal == nil {
			done <- errors.ErrUnsupported
			return
		}
		e.notes.all = true
		e.noted(func(err error) { done <- err })
	}); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-e.loop.Ended():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// forgetNotes ends the journal of an engine that has ended every service.
func (e *Engine) forgetNotes() error {
	n := &e.notes
	for _, t := range []*time.Timer{n.soon, n.retry} {
		if t != nil {
			t.Stop()
		}
	}
	if n.journal == nil {
		return nil
	}
	if e.leavesBehind() {
		// Of what may still run the next supervisor has to know.
		return errors.Join(n.journal.write(e.records(true), true), n.journal.close())
	}
	if err := e.removeOwner(); err != nil {
		return errors.Join(err, n.journal.close()) // the journal without it would be one that is missing
	}
	err := os.Remove(n.journal.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if b := n.journal.ballast; b != nil {
		_ = os.Remove(b.path) // that of the state directory stays, for the next start
	}
	return errors.Join(n.journal.close(), err)
}
