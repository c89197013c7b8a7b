package supervise

import (
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
)

// Restore takes in what an earlier supervisor has left, which New has read: services that run, with
// all that was known of them, and what else is wanted, which is started. It is for before Run.
func (e *Engine) Restore() {
	l := e.left
	e.left = kept.Left{}
	for _, stored := range l.Specs.Services {
		inherits := e.environs.Of(stored.Environ)
		e.services.Add(e.newService(stored.Spec.WithDefaults(), stored.Source, inherits))
	}
	for _, name := range l.Wants.Held {
		if s := e.services.Named(name); s != nil {
			s.held = true
		}
	}
	var up []*service
	for _, name := range l.Wants.Wanted {
		if s := e.services.Named(name); s != nil {
			up = append(up, s)
		}
	}
	e.takeOver(l, up)
}

// takeOver is the end of Restore: what is wanted and was not found running is started.
func (e *Engine) takeOver(l kept.Left, up []*service) {
	for _, err := range l.Unused() {
		e.o.Trouble(err)
	}
	t := &takeover{e: e, Left: l}
	t.describe()
	t.place()
	t.seek()
	t.settleDoubts(up)
	e.forgetEndings()
	t.keepUnknown()
	t.openLogs()
	up = slices.DeleteFunc(up, func(s *service) bool {
		_, known := t.Records[s.Name()]
		s.Wanted = s.Wanted || !known
		return known || s.PID() != 0 || s.Unproven()
	})
	for _, s := range t.again {
		if s.Wanted && s.State() == Stopped && !s.removed {
			up = append(up, s)
		}
	}
	if e.o.Handover.Event > 0 {
		// Also for those who come for what is after the last one that they had: there is something.
		e.tell(control.EventUpgrade, "another program has taken the supervisor's place")
	}
	if err := e.keeper.Take(l); err != nil {
		e.o.Trouble(err)
	}
	e.post(func() {
		for _, s := range t.again {
			e.adoptHeld(s)
		}
		e.handover.CloseGiven() // the logs have been opened by name
		for _, s := range t.again {
			e.goOn(s)
		}
		t.endBeside()
		e.clearGroups(t.Doubt)
		e.want(up, waiters.Start)
		e.keeper.Write()
	})
}

// Adopted is how many services were found alive at the start.
func (e *Engine) Adopted() int { return e.procs.Taken() }
