package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// Unknown is a process that an earlier supervisor started for a service that nothing describes any more, as after an older state
// has been put back. It is left alone.
type Unknown struct {
	Name string // of the service
	PID  int
}

// keepUnknown keeps what is recorded of services that nothing describes, as long as they may live.
func (t *takeover) keepUnknown() {
	e := t.e
	for _, r := range t.records {
		if e.byName[r.Name] != nil {
			continue
		}
		if r.Main.PID == 0 && r.State == Starting.String() {
			r.Main, r.Session = e.bornAs(r.Invocation)
		}
		if !e.mayLive(r) {
			continue
		}
		if e.unknown == nil {
			e.unknown = map[string]record{}
		}
		e.unknown[r.Name] = r
		e.o.Trouble(fmt.Errorf("%s: known to the last supervisor, and described nowhere; process %d is left alone until it is", r.Name, r.Main.PID))
	}
}

// bornAs is the main process of a start that was under way when a supervisor was killed.
func (e *Engine) bornAs(invocation string) (id identity, session int) {
	list, err := e.kernel.processes()
	if err != nil {
		e.o.Trouble(fmt.Errorf("look for services that live: %w", err))
	}
	for _, stat := range list {
		if stat.Session != stat.PID || stat.Exited() {
			continue
		}
		environ, _ := e.kernel.environ(stat.PID) // what we may not look at is not ours
		if born, _ := variable(environ, invocationVariable); born == invocation && born != "" {
			return identity{PID: stat.PID, Start: stat.StartTime}, stat.Session
		}
	}
	return identity{}, 0
}

// mayLive says whether the main process of a record is there, or cannot be proven to be gone.
func (e *Engine) mayLive(r record) bool {
	if r.Main.PID == 0 {
		return false
	}
	h, err := e.prove(r.Main)
	if err == nil {
		exited, exitErr := h.Exited()
		_ = h.Close() // nothing was written to it
		return exitErr != nil || !exited
	}
	return !errors.Is(err, syscall.ESRCH)
}

// Unknown lists those that live, by name.
func (e *Engine) Unknown(ctx context.Context) (list []Unknown, err error) {
	err = e.ask(ctx, func() {
		for name, r := range e.unknown {
			if !e.mayLive(r) {
				delete(e.unknown, name)
				e.notes.all = true
				continue
			}
			list = append(list, Unknown{Name: name, PID: r.Main.PID})
		}
		e.writeNotes()
	})
	slices.SortFunc(list, func(a, b Unknown) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// readopt goes on with a service that is described again, as with one that was taken over.
func (e *Engine) readopt(s *service) {
	r, known := e.unknown[s.spec.Name]
	delete(e.unknown, s.spec.Name)
	if !known || !e.mayLive(r) {
		return
	}
	t := &takeover{e: e}
	t.placeOne(s, r)
	t.openLogs()
	e.adoptHeld(s)
	e.goOn(s)
}

// leavesBehind says whether there is what may run and is not ours to end.
func (e *Engine) leavesBehind() bool {
	return len(e.unknown) > 0 || slices.ContainsFunc(e.sorted(), func(s *service) bool { return s.unproven })
}
