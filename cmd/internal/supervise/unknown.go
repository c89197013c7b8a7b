package supervise

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/control"
)

// keepUnknown keeps what is recorded of services that nothing describes, as long as they may live.
func (t *takeover) keepUnknown() {
	e := t.e
	for _, r := range t.Records {
		if e.services.Named(r.Name) != nil {
			continue
		}
		if r.Main.PID == 0 && r.State == Starting {
			r.Main, r.Session = t.born(r.Invocation)
		}
		r.Beside = slices.Clone(r.Beside)
		for i, b := range r.Beside {
			if b.Main.PID == 0 {
				r.Beside[i].Main, r.Beside[i].Session = t.born(b.Invocation)
			}
		}
		pid := e.mayLive(r)
		if pid == 0 {
			continue
		}
		e.unknown[r.Name] = r
		e.o.Trouble(
			fmt.Errorf("%s: known to the last supervisor, and described nowhere; process %d is "+
				"left alone until it is", r.Name, pid),
		)
	}
}

// born is the main process of a start that was under way when a supervisor was killed.
func (t *takeover) born(invocation string) (children.Identity, int) {
	id, session, err := t.e.procs.Born(invocation)
	if err != nil {
		t.e.o.Trouble(fmt.Errorf("look for services that live: %w", err))
	}
	return id, session
}

// mayLive is the main process of a record that is there, or cannot be proven to be gone: its own,
// or that of a rolling restart that was under way. 0 if there is none.
func (e *Engine) mayLive(r kept.Record) (pid int) {
	if e.procs.MayLive(r.Main) {
		return r.Main.PID
	}
	for _, b := range r.Beside {
		if e.procs.MayLive(b.Main) {
			return b.Main.PID
		}
	}
	return 0
}

// Unknown lists those that live, by name.
func (e *Engine) Unknown(ctx context.Context) (list []control.Unknown, err error) {
	err = e.ask(ctx, func() {
		for name, r := range e.unknown {
			pid := e.mayLive(r)
			if pid == 0 {
				delete(e.unknown, name)
				e.keeper.Journal.Mark(kept.All)
				continue
			}
			list = append(list, control.Unknown{Name: name, PID: pid})
		}
		e.keeper.Journal.Write()
	})
	slices.SortFunc(list, func(a, b control.Unknown) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// readopt goes on with a service that is described again, as with one that was taken over.
func (e *Engine) readopt(s *service) {
	r, known := e.unknown[s.Name()]
	delete(e.unknown, s.Name())
	if !known || e.mayLive(r) == 0 {
		return
	}
	t := &takeover{e: e}
	t.placeOne(s, r)
	e.forgetEndings()
	t.openLogs()
	e.adoptHeld(s)
	e.goOn(s)
	t.endBeside()
}
