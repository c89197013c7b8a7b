package supervise

import (
	"iter"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
)

// blocker says what s has to wait for before it can start, "" if nothing, and what stands in the
// way of that.
func (e *Engine) blocker(s *service) (text string, o waiters.Obstacle) {
	var missing []string
	meets := func(found waiters.Obstacle) {
		if o.Text == "" || found.Hopeless && !o.Hopeless {
			o = found
		}
	}
	for _, name := range s.Spec().Requires {
		list := e.services.Expand(name)
		if len(list) == 0 {
			missing = append(missing, name+" (no such service)")
			meets(waiters.Obstacle{Text: "there is no " + name, Hopeless: true})
		}
		for _, d := range list {
			if !d.Satisfied() {
				missing = append(missing, d.describe())
				meets(d.asObstacle())
			}
		}
	}
	for _, names := range [][]string{s.Spec().Wants, s.Spec().After} {
		for _, name := range names {
			for _, d := range e.services.Expand(name) {
				// Those are only waited for while they are on their way.
				if d.State() == Waiting && d.obstacle.Text == "" || d.State() == Starting ||
					d.State() == Stopping && d.Wanted {
					missing = append(missing, d.describe())
				}
			}
		}
	}
	missing = append(append(missing, e.outdated(s)...), s.predecessors()...)
	for _, old := range s.follows {
		if old.WhyRefused() != "" {
			meets(waiters.Obstacle{
				Text:     old.Name() + " cannot be ended",
				Service:  old,
				Hopeless: true,
			})
		}
	}
	if len(missing) == 0 {
		return "", waiters.Obstacle{}
	}
	slices.Sort(missing)
	return "waits for " + strings.Join(slices.Compact(missing), ", "), o
}

// describe names s where it is waited for, with its state unless that is on its way to be up, or
// what it waits for in vain.
func (s *service) describe() string {
	switch {
	case s.State() == Waiting && s.obstacle.Text != "":
		return s.Name() + " (" + s.obstacle.Text + ")"
	case s.State() == Stopped && s.held:
		return s.Name() + " (stopped by hand)"
	case s.State() == Failed || s.State() == Stopped || s.State() == Backoff:
		return s.Name() + " (" + string(s.State()) + ")"
	}
	return s.Name()
}

// asObstacle says whether s stands in the way of those that require it: it is down, or waits for
// what is.
func (s *service) asObstacle() waiters.Obstacle {
	name := s.Name()
	switch {
	case s.State() == Failed:
		return waiters.Obstacle{Text: name + " has failed", Service: s, Hopeless: true}
	case s.State() == Stopped && s.held:
		return waiters.Obstacle{Text: name + " was stopped by hand", Service: s, Hopeless: true}
	case s.State() == Stopped && !s.Wanted:
		return waiters.Obstacle{Text: name + " is stopped", Service: s, Hopeless: true}
	case s.State() == Backoff:
		return waiters.Obstacle{Text: name + " has failed, and is tried again", Service: s}
	case s.State() == Waiting:
		return s.obstacle
	}
	return waiters.Obstacle{}
}

// changedFor lets those go on that waited for s: to start, or to stop.
func (e *Engine) changedFor(s *service) {
	e.wakeInstances(s)
	e.wakeFollowers(s)
	for d := range e.services.Needers(s) {
		e.recheckSoon(d)
	}
	e.releaseSoon(e.services.Needed(s))
}

// wakeInstances has those look again that wait for a process of s to let go of a socket.
func (e *Engine) wakeInstances(s *service) {
	if len(s.Spec().Sockets) == 0 {
		return
	}
	instances := e.services.Instances(s.Spec().BaseName())
	for _, d := range slices.Concat(instances, e.services.Expand(s.Name())) {
		e.recheckSoon(d)
	}
}

// wakeFollowers has the services that wait for the end of s start, if it has gone and nothing else
// is in their way.
func (e *Engine) wakeFollowers(s *service) {
	if s.State() == Stopped {
		e.recheckFollowers(s)
		s.followed = nil
	}
}

// recheckFollowers has the services that wait for the end of s look again what they wait for.
func (e *Engine) recheckFollowers(s *service) {
	for _, d := range s.followed {
		e.recheckSoon(d)
	}
}

// recheckSoon has s, if it waits, look anew at what for.
func (e *Engine) recheckSoon(s *service) {
	if s.State() == Waiting && !s.rechecking {
		s.rechecking = true
		e.post(func() { e.recheck(s) })
	}
}

// recheck looks anew at what a waiting service waits for.
func (e *Engine) recheck(s *service) {
	s.rechecking = false
	if s.State() != Waiting {
		return
	}
	blocker, o := e.blocker(s)
	if blocker == "" {
		s.DependenciesMet()
		return
	}
	changed := s.obstacle != o
	s.obstacle = o
	s.StillWaits(blocker)
	if changed {
		e.changedFor(s) // who waits for s learns what for, down the whole chain
	}
	s.waiters.Wake()
}

// recheckAll looks anew, at once, at what the waiting ones among services wait for, over all steps.
func (e *Engine) recheckAll(list []*service) {
	seen := map[*service]bool{}
	var visit func(s *service)
	visit = func(s *service) {
		if seen[s] || s.State() != Waiting {
			return
		}
		seen[s] = true
		for d := range e.services.Needed(s) {
			visit(d)
		}
		e.recheck(s)
	}
	for _, s := range list {
		visit(s)
	}
}

// mustHold says whether something that needs s is still to be ended before it. It concerns only
// those that were asked to end together; what is ended for its own failure waits for nobody.
func (e *Engine) mustHold(s *service) bool {
	if _, ok := e.stopping[s]; !ok {
		return false
	}
	for d := range e.services.Needers(s) {
		if _, ok := e.stopping[d]; ok {
			return true
		}
	}
	return false
}

// releaseSoon has services look anew whether they have to hold their stop.
func (e *Engine) releaseSoon(list iter.Seq[*service]) {
	if !e.shared.Holding() {
		return
	}
	for s := range list {
		if s.Holds() {
			e.post(s.Release)
		}
	}
}

// endTogether marks services that are about to be asked to end. Those without a process end at
// once, and wait for nobody.
func (e *Engine) endTogether(list []*service) {
	for _, s := range list {
		if s.State() == Starting || s.State() == Ready || s.State() == Stopping {
			e.stopping[s] = struct{}{}
		}
	}
}
