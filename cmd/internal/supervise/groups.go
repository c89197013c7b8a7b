package supervise

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/cgroup"
)

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
