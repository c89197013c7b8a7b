package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/daemonry/daemonry/internal/cgroup"
)

// groupOf is the control group for the start of s that is under way, nil if there is none.
func (e *Engine) groupOf(s *service) *cgroup.Group {
	return e.cgroups.For(s.spec.Cgroup).Group(s.spec.Name, s.invoked)
}

// groupOwner returns the service in whose control group a process is, nil if it is in none.
func (e *Engine) groupOwner(pid int) (*service, error) {
	path, err := e.kernel.cgroup(pid)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) {
		return nil, syscall.ESRCH
	}
	if err != nil {
		return nil, err
	}
	if e.births.underWay > 0 && cgroup.OfCommand(path) {
		return nil, nil // perhaps a command that is just being started
	}
	_, invocation := cgroup.StartAt(path)
	s := e.byInvocation[invocation] // "" is nobody's
	if s == nil || !s.group.Holds(path) {
		// The name alone proves nothing: whoever has a group of their own can make one of any name
		// below it.
		return nil, nil
	}
	return s, nil
}

// groupHolding is the group of s if that process, which is the service's, is in it.
func (e *Engine) groupHolding(s *service, pid int) *cgroup.Group {
	g := e.groupOf(s)
	if path, err := e.kernel.cgroup(pid); err != nil || !g.Holds(path) {
		return nil // it was started without one
	}
	return g
}

// leftBehind are the processes of s but the main one, with whether a process is known by its
// control group alone.
func (e *Engine) leftBehind(s *service) map[int]bool {
	left := map[int]bool{}
	pids, err := s.group.Members()
	if err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("processes of control group: %v", err)})
	}
	for _, pid := range pids {
		if pid != s.pid {
			left[pid] = true
		}
	}
	for pid := range s.left.adopted {
		left[pid] = false
	}
	return left
}

// nothingLeft says whether no process of s is there any more. What cannot be looked at may be
// there.
func (e *Engine) nothingLeft(s *service) bool {
	if len(s.left.adopted) > 0 || len(s.commands) > 0 {
		return false
	}
	populated, err := s.group.Populated()
	if err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("processes of control group: %v", err)})
	}
	return err == nil && !populated
}

// killGroup kills what is left in the control group of s. A helper command in it may come to its
// end.
func (e *Engine) killGroup(s *service) {
	if s.group == nil {
		return
	}
	kill := s.group.Kill
	if len(s.commands) > 0 {
		kill = s.group.KillEach
	}
	if err := kill(); err != nil && !cgroup.IsRemoved(err) {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("kill control group: %v", err)})
	}
}

// limitAgain has limits hold that were changed while the service runs.
func (e *Engine) limitAgain(s *service) {
	if s.group == nil || s.pid == 0 || s.spec.Limits == s.limits {
		return
	}
	s.limits = s.spec.Limits
	e.setLimits(s)
}

// setLimits has the limits of s hold. As with reconfigure, the one that ends last may not be the
// one that began last.
func (e *Engine) setLimits(s *service) {
	g, limits, name := s.group, s.limits, s.spec.Name
	e.work(func() func() {
		err := g.Limit(limits, true)
		return func() {
			if err != nil {
				e.o.Trouble(fmt.Errorf("%s: %w", name, err))
			}
			if s.group == g && s.limits != limits {
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
		if e.byInvocation[invocation] != nil {
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
			e.emit(s, Event{Kind: EventStray, Reason: "SIGKILL to what an earlier supervisor has left in a control group"})
			err = g.Kill() // the empty group goes when we go
		}
		if err != nil {
			e.o.Trouble(fmt.Errorf("control group: %w", err))
		}
	}
}
