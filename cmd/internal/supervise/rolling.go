package supervise

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// A rolling restart has a second process of a service come up beside the first, on the same
// sockets. It is a service value of its own, the replacement, that no request finds; it goes through
// the same states by the same table. When it is ready it takes the first one's place in the
// registry, with all that belongs to the service rather than to a process, and the first one, now
// replaced, is ended in its ordinary way. If it fails it goes, and the first one has not noticed.

// rolling are the other processes of a service, of the value that is in the registry.
type rolling struct {
	replacement *service              // comes up to take its place
	replaced    map[*service]struct{} // have given it their place and are being ended

	// Of those that are not in the registry:
	replaces   *service
	replacedBy *service
	told       func(error) // how the replacement's start ended, once
}

// all are the processes beside that of the registry.
func (r *rolling) all() []*service {
	list := slices.Collect(maps.Keys(r.replaced))
	if r.replacement != nil {
		list = append(list, r.replacement)
	}
	return list
}

// registered is the value in the registry for the service that s is a process of.
func (s *service) registered() *service {
	for s.rolling.replaces != nil || s.rolling.replacedBy != nil {
		if s.rolling.replaces != nil {
			s = s.rolling.replaces
		} else {
			s = s.rolling.replacedBy
		}
	}
	return s
}

func (s *service) isReplacement() bool { return s.rolling.replaces != nil }
func (s *service) isReplaced() bool    { return s.rolling.replacedBy != nil }

// RestartRolling replaces the process of each service, one after the other: the new process starts
// beside the old one on the same sockets, and only when it is ready is the old one ended. It
// returns when the last old one is gone. At the first that does not come up it ends (StartError):
// that service's old process goes on, and so do those that had not had their turn.
func (e *Engine) RestartRolling(ctx context.Context, names ...string) error {
	var order []string
	var err error
	if askErr := e.ask(ctx, func() { order, err = e.canRoll(names) }); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	for i, name := range order {
		if err := e.rollOne(ctx, name); err != nil {
			return rollingError(err, i, len(order))
		}
	}
	return nil
}

// rollingError says what became of the others.
func rollingError(err error, done, all int) error {
	if all == 1 {
		return err
	}
	return fmt.Errorf("%w (%d of %d restarted before it, %d not touched)", err, done, all, all-done-1)
}

// canRoll finds the services that can be restarted in a rolling way, before any of them is.
func (e *Engine) canRoll(names []string) (order []string, err error) {
	if e.closing {
		return nil, ErrClosed
	}
	found, err := e.find(names)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, s := range found {
		errs = append(errs, s.mayRoll())
		order = append(order, s.spec.Name)
	}
	return order, errors.Join(errs...)
}

// NoRollingError says why a service cannot have two processes for a while.
type NoRollingError struct{ Name, Reason, Hint string }

func (e *NoRollingError) Error() string {
	return fmt.Sprintf("%s: cannot be restarted in a rolling way: %s", e.Name, e.Reason)
}

func (s *service) mayRoll() error {
	no := func(reason, hint string) error { return &NoRollingError{s.spec.Name, reason, hint} }
	switch {
	case s.state != Ready || s.PID() == 0:
		return no(fmt.Sprintf("it is %v, so nobody would notice an ordinary one", s.state), "use restart")
	case s.rolling.replacement != nil:
		return no("it is being restarted in that way", "wait, or restart it in the ordinary way")
	case s.spec.Type == spec.Oneshot:
		return no("it is a oneshot", "use restart")
	case len(s.spec.Sockets) == 0 && !s.spec.Overlap:
		return no("the supervisor has no socket of it that both processes could serve",
			"declare its sockets, or set overlap = true if two of them can run side by side")
	}
	return nil
}

// rollOne replaces the process of one service and waits until the old one is gone.
func (e *Engine) rollOne(ctx context.Context, name string) error {
	result := make(chan error, 1)
	var err error
	if askErr := e.ask(ctx, func() {
		switch s := e.byName[name]; {
		case e.closing:
			err = ErrClosed
		case s == nil:
			err = e.notFound(name)
		default:
			if err = s.mayRoll(); err == nil {
				e.startReplacement(s, func(err error) { result <- err })
			}
		}
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return e.answered(ctx, result) // what was begun is brought to its end all the same
}

// startReplacement starts a second process of s. told is called when the old one is gone, or with the
// reason why it stays.
func (e *Engine) startReplacement(s *service, told func(error)) *service {
	next := e.newService(s.description)
	next.wanted, next.stream = true, s.stream
	next.rolling.replaces, next.rolling.told = s, told
	s.rolling.replacement = next
	e.happen(next, hBeside, cause{})
	return next
}

// takePlace gives a replacement that is ready the place of the process before it.
func (e *Engine) takePlace(next *service) {
	old := next.rolling.replaces
	next.rolling.replaces, old.rolling.replacement = nil, nil
	told := next.rolling.told
	next.rolling.told = nil

	// What belongs to the service. Its description may have changed meanwhile in what a process
	// need not notice.
	e.registry.remove(old)
	next.description, next.held, next.removed, next.logError = old.description, old.held, old.removed, old.logError
	next.exit, next.restarts = old.exit, old.restarts
	e.handover.Move(old, next)
	// For everybody else nothing happens but that, perhaps, a service that was down is up.
	e.set(next, old.state)
	next.since = old.since
	e.registry.add(next)
	e.overtakeReloads(old, orderRolling)
	next.waiters, old.waiters = old.waiters, nil
	for _, w := range next.waiters {
		w.service = next
	}
	e.procs.Prints(&next.Unit, next.Output())
	next.rolling.replaced, old.rolling.replaced = old.rolling.replaced, nil
	if next.rolling.replaced == nil {
		next.rolling.replaced = map[*service]struct{}{}
	}
	for before := range next.rolling.replaced {
		before.rolling.replacedBy = next
	}
	next.rolling.replaced[old] = struct{}{}
	old.rolling.replacedBy, old.rolling.told = next, told
	old.wanted, old.again = false, false
	e.note(next)
	e.state.Write(wantsFile)
	e.tell(next, control.EventRolling, "process %d takes the place of process %d", next.PID(), old.PID())
}

// endReplaced ends those whose place a replacement has just taken.
func (e *Engine) endReplaced(s *service) {
	for old := range s.rolling.replaced {
		if old.rolling.told != nil {
			e.happen(old, hUnwant, cause{text: "replaced by process " + strconv.Itoa(s.PID())})
			if old.state == Stopped && old.isReplaced() {
				e.decideBeside(old, "") // it had no process any more
			}
		}
	}
}

// dropReplacement ends the replacement of s, if it has one: s itself is being ended or started anew. Who
// asked for a rolling restart that is under way is told what has overtaken it.
func (e *Engine) dropReplacement(s *service, why string, by order) {
	if s == nil {
		return
	}
	for old := range s.rolling.replaced {
		if told := old.rolling.told; told != nil {
			told(overtaken(s, orderRolling, by))
			old.rolling.told = func(error) {} // it is still one that is being replaced
		}
	}
	if s.rolling.replacement == nil {
		return
	}
	next := s.rolling.replacement
	if told := next.rolling.told; told != nil {
		told(overtaken(s, orderRolling, by))
		next.rolling.told = nil
	}
	next.wanted, next.again = false, false
	if next.failure == "" {
		next.failure = why
	}
	e.happen(next, hUnwant, cause{text: why})
}

// decideBeside is decide for a process that is not in the registry: it is over.
func (e *Engine) decideBeside(s *service, failure string) {
	main := s.registered()
	told := s.rolling.told
	s.rolling.told = nil
	var err error
	if s.isReplacement() {
		if failure == "" {
			failure = "its new process ended"
		}
		reason := "the new process is not used: " + failure
		if main.PID() != 0 && main.state != Stopping {
			reason += fmt.Sprintf("; the old one (process %d) goes on", main.PID())
		}
		err = &StartError{Name: s.spec.Name, Reason: reason, Exit: s.exit, Err: s.cause}
		main.rolling.replacement = nil
		if main.stream == nil {
			main.stream = s.stream
		}
	} else {
		delete(main.rolling.replaced, s)
	}
	e.enter(s, Stopped, stoppedText(s, failure))
	s.rolling = rolling{}
	if err != nil {
		e.tell(main, control.EventRolling, "%s", err.(*StartError).Reason)
	} else {
		e.tell(main, control.EventRolling, "the old process is gone")
	}
	if told != nil {
		told(err)
	}
	if main.isSwept() && !main.holding {
		e.isSweptClean(main)
	}
}

// waitsForOthers says whether s, which has come to its end, is to wait for its other processes: who is
// told that it is down must find nothing of it. When it is to be started again it does not wait.
func (e *Engine) waitsForOthers(s *service) bool {
	return (!s.wanted || s.removed || e.closing) && (s.rolling.replacement != nil || len(s.rolling.replaced) > 0)
}

// staysDown is not being wanted where nothing runs but, perhaps, a second process.
func (e *Engine) staysDown(s *service, why cause) {
	if e.waitsForOthers(s) {
		e.enter(s, Stopping, why.text)
		e.sweep(s)
	}
}

// ofBeside turns the event of a process that is not in the registry into one of the service.
func (s *service) ofBeside(ev control.Event) control.Event {
	who := "new process: "
	if s.isReplaced() {
		who = "old process: "
	}
	if ev.Kind == control.EventState {
		ev.Kind = control.EventRolling
		if ev.Reason == "" {
			ev.Reason = string(s.state)
		}
	}
	main := s.registered()
	ev.State, ev.From = main.state, ""
	ev.Reason = who + ev.Reason
	return ev
}
