package supervise

import (
	"slices"
	"strings"
)

// blocker says what s has to wait for before it can start, "" if nothing; and whether
// it waits for something that will not come about by itself.
func (e *Engine) blocker(s *service) (text string, hopeless bool) {
	var missing []string
	for _, name := range s.spec.Requires {
		list := e.expand(name)
		if len(list) == 0 {
			missing, hopeless = append(missing, name+" (no such service)"), true
		}
		for _, d := range list {
			if !d.satisfied() {
				missing = append(missing, d.describe())
				hopeless = hopeless || d.state == Failed || d.state == Stopped && !d.wanted
			}
		}
	}
	for _, names := range [][]string{s.spec.Wants, s.spec.After} {
		for _, name := range names {
			for _, d := range e.expand(name) {
				// Those are only waited for while they are on their way.
				if d.state == Waiting || d.state == Starting || d.state == Stopping && d.wanted {
					missing = append(missing, d.describe())
				}
			}
		}
	}
	missing = append(missing, e.outdated(s)...)
	if len(missing) == 0 {
		return "", false
	}
	slices.Sort(missing)
	return "waits for " + strings.Join(slices.Compact(missing), ", "), hopeless
}

// satisfied says whether those that require s may start.
func (s *service) satisfied() bool {
	return s.state == Ready || s.state == Listening || s.state == Stopped && s.completed
}

// wait starts s, or says what it waits for.
func (e *Engine) wait(s *service) {
	blocker, hopeless := e.blocker(s)
	if blocker == "" {
		e.launch(s, cause{})
		return
	}
	s.hopeless = hopeless
	e.enter(s, Waiting, blocker)
	s.wake()
}

// changedFor lets those go on that waited for s: to start, or to stop.
func (e *Engine) changedFor(s *service) {
	e.wakeSiblings(s)
	e.eachNeeder(s, func(d *service) bool {
		if d.state == Waiting && !d.rechecking {
			d.rechecking = true
			e.post(func() { e.recheck(d) })
		}
		return true
	})
	if s.state == Stopping || e.holding == 0 {
		return
	}
	for _, name := range s.comesAfter() {
		for _, d := range e.expand(name) {
			if d.holding {
				e.post(func() { e.releaseStop(d) })
			}
		}
	}
}

// recheck looks anew at what a waiting service waits for.
func (e *Engine) recheck(s *service) {
	s.rechecking = false
	if s.state != Waiting {
		return
	}
	blocker, hopeless := e.blocker(s)
	if blocker == "" {
		e.happen(s, hDepsMet, cause{})
		return
	}
	s.reason, s.hopeless = blocker, hopeless
	s.wake()
}

// mustHold says whether something that needs s is still to be ended before it. It concerns only those
// that were asked to end together; what is ended for its own failure waits for nobody.
func (e *Engine) mustHold(s *service) (hold bool) {
	if _, ok := e.stopping[s]; !ok {
		return false
	}
	e.eachNeeder(s, func(d *service) bool {
		_, ending := e.stopping[d]
		hold = ending && d != s
		return !hold
	})
	return hold
}

// releaseStop ends a service whose turn has come.
func (e *Engine) releaseStop(s *service) {
	if !s.holding || s.state != Stopping || e.mustHold(s) {
		return
	}
	e.setHolding(s, false)
	e.runStop(s)
}

// endTogether marks services that are about to be asked to end. Those without a process end at once, and wait for nobody.
func (e *Engine) endTogether(list []*service) {
	for _, s := range list {
		if s.state == Starting || s.state == Ready || s.state == Stopping {
			e.stopping[s] = struct{}{}
		}
	}
}
