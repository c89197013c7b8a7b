package supervise

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/cgroup"
)

// adoptHeld gives a service that was taken over what it has stored and the sockets that it has.
func (e *Engine) adoptHeld(s *service) {
	e.handover.Restore(&s.Service, s.Name())
	switch s.State() {
	case Backoff, Waiting, Starting, Listening:
	default:
		if s.PID() == 0 {
			return
		}
	}
	s.HoldSockets()
	e.handover.Adopt(&s.Service, s.PID())
}

// goOn is what the owner does first with a service that was taken over.
func (e *Engine) goOn(s *service) {
	switch {
	case s.State() == Waiting:
		e.recheck(s)
	case s.removed && (s.State() == Stopped || s.State() == Failed && s.Next().IsZero()):
		e.forget(s)
	default:
		s.GoOn()
	}
}

// endBeside ends what a rolling restart that was cut short has left beside services (recallBeside).
func (t *takeover) endBeside() {
	for _, s := range t.again {
		for left := range s.rolling.replaced {
			left.PrintInto(s.Stream())
			left.Stop("left of a rolling restart that was cut short")
		}
	}
}

// clearGroups ends what a dead supervisor has left in the control groups of starts that nobody goes
// on with, and removes the groups. What belongs to a service that is described nowhere is left
// alone; and all of it, if for that reason it is in doubt who goes on.
func (e *Engine) clearGroups(doubt error) {
	for _, g := range e.cgroups.Groups() {
		name, invocation := cgroup.StartAt(g.Path)
		if e.procs.Announced(invocation) {
			continue
		}
		s := e.services.Named(name)
		err := g.Remove()
		switch {
		case !errors.Is(err, syscall.EBUSY):
		case doubt != nil:
			err = fmt.Errorf("%s: processes live in it, and are left alone: %w", g.Dir, doubt)
		case s == nil:
			err = fmt.Errorf(
				"%s: processes live in it, and no service %s is known; they are left alone", g.Dir,
				name,
			)
		default:
			s.Tell(control.EventStray,
				"SIGKILL to what an earlier supervisor has left in a control group")
			err = g.Kill() // the empty group goes when we go
		}
		if err != nil {
			e.o.Trouble(fmt.Errorf("control group: %w", err))
		}
	}
}
