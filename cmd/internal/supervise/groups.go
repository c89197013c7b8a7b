package supervise

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/cgroup"
)

// limitAgain has limits hold that were changed while the service runs.
func (e *Engine) limitAgain(s *service) {
	if s.Group() == nil || s.PID() == 0 || s.spec.Limits == s.limits {
		return
	}
	s.limits = s.spec.Limits
	e.setLimits(s)
}

// setLimits has the limits of s hold. As with reconfigure, the one that ends last may not be the
// one that began last.
func (e *Engine) setLimits(s *service) {
	g, limits, name := s.Group(), s.limits, s.spec.Name
	e.work(func() func() {
		err := g.Limit(limits, true)
		return func() {
			if err != nil {
				e.o.Trouble(fmt.Errorf("%s: %w", name, err))
			}
			if s.Group() == g && s.limits != limits {
				e.setLimits(s)
			}
		}
	})
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
		s := e.byName[name]
		err := g.Remove()
		switch {
		case !errors.Is(err, syscall.EBUSY):
		case doubt != nil:
			err = fmt.Errorf("%s: processes live in it, and are left alone: %w", g.Dir, doubt)
		case s == nil:
			err = fmt.Errorf("%s: processes live in it, and no service %s is known; they are left alone", g.Dir, name)
		default:
			e.tell(s, control.EventStray, "SIGKILL to what an earlier supervisor has left in a control group")
			err = g.Kill() // the empty group goes when we go
		}
		if err != nil {
			e.o.Trouble(fmt.Errorf("control group: %w", err))
		}
	}
}
