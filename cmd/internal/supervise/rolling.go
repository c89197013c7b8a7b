package supervise

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// A rolling restart has a second process of a service come up beside the first, on the same
// sockets. It is a service value of its own, the replacement, that no request finds; it goes
// through the same states by the same table. When it is ready it takes the first one's place in the
// registry, with all that belongs to the service rather than to a process, and the first one, now
// replaced, is ended in its ordinary way. If it fails it goes, and the first one has not noticed.

// RestartRolling replaces the process of each service, one after the other: the new process starts
// beside the old one on the same sockets, and only when it is ready is the old one ended. It
// returns when the last old one is gone. At the first that does not come up it ends
// (waiters.Error): that service's old process goes on, and so do those that had not had their turn.
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
	return fmt.Errorf("%w (%d of %d restarted before it, %d not touched)",
		err, done, all, all-done-1)
}

// canRoll finds the services that can be restarted in a rolling way, before any of them is.
func (e *Engine) canRoll(names []string) (order []string, err error) {
	if e.shared.Closing {
		return nil, ErrClosed
	}
	found, err := e.services.Find(names)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, s := range found {
		errs = append(errs, s.mayRoll())
		order = append(order, s.Name())
	}
	return order, errors.Join(errs...)
}

// NoRollingError says why a service cannot have two processes for a while.
type NoRollingError struct{ Name, Reason, Hint string }

func (e *NoRollingError) Error() string {
	return fmt.Sprintf("%s: cannot be restarted in a rolling way: %s", e.Name, e.Reason)
}

func (s *service) mayRoll() error {
	no := func(reason, hint string) error { return &NoRollingError{s.Name(), reason, hint} }
	switch {
	case s.State() != Ready || s.PID() == 0:
		return no(fmt.Sprintf("it is %v, so nobody would notice an ordinary one", s.State()),
			"use restart")
	case s.rolling.replacement != nil:
		return no("it is being restarted in that way", "wait, or restart it in the ordinary way")
	case s.Spec().Type == spec.Oneshot:
		return no("it is a oneshot", "use restart")
	case len(s.Spec().Sockets) == 0 && !s.Spec().Overlap:
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
		switch s := e.services.Named(name); {
		case e.shared.Closing:
			err = ErrClosed
		case s == nil:
			err = e.services.NotFound(name)
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

// startReplacement starts a second process of s. told is called when the old one is gone, or with
// the reason why it stays.
func (e *Engine) startReplacement(s *service, told func(error)) *service {
	next := e.newService(*s.Spec(), s.source, s.environ)
	next.described = s.described
	next.PrintInto(s.Stream())
	next.rolling.replaces, next.rolling.told = s, told
	s.rolling.replacement = next
	next.StartBeside()
	return next
}

// TakePlace gives a replacement that is ready the place of the process before it.
func (next *service) TakePlace() {
	e, old := next.engine, next.rolling.replaces
	next.rolling.replaces, old.rolling.replacement = nil, nil
	told := next.rolling.told
	next.rolling.told = nil

	// What belongs to the service.
	e.services.Remove(old)
	next.Succeed(&old.Service)
	next.source, next.environ, next.described = old.source, old.environ, old.described
	next.held, next.removed, next.logError = old.held, old.removed, old.logError
	e.handover.Move(&old.Service, &next.Service)
	e.services.Add(next)
	old.waiters.Overtake(waiters.Rolling)
	next.waiters, old.waiters = old.waiters, next.waiters
	next.waiters.Move(next)
	old.waiters.Move(old)
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
	e.note(next)
	e.keeper.State.Write(kept.WantsFile)
	next.Tell(control.EventRolling, "process %d takes the place of process %d",
		next.PID(), old.PID())
}

// endReplaced ends those whose place a replacement has just taken.
func (e *Engine) endReplaced(s *service) {
	for old := range s.rolling.replaced {
		if old.rolling.told != nil {
			old.Stop("replaced by process " + strconv.Itoa(s.PID()))
			if old.State() == Stopped && old.Role() == lifecycle.Replaced {
				old.Over("") // it had no process any more
			}
		}
	}
}

// dropReplacement ends the replacement of s, if it has one: s itself is being ended or started
// anew. Who asked for a rolling restart that is under way is told what has overtaken it.
func (e *Engine) dropReplacement(s *service, why string, by waiters.Order) {
	if s == nil {
		return
	}
	for old := range s.rolling.replaced {
		if told := old.rolling.told; told != nil {
			told(waiters.Overtaken(s.Name(), waiters.Rolling, by))
			old.rolling.told = func(error) {} // it is still one that is being replaced
		}
	}
	if s.rolling.replacement == nil {
		return
	}
	next := s.rolling.replacement
	if told := next.rolling.told; told != nil {
		told(waiters.Overtaken(s.Name(), waiters.Rolling, by))
		next.rolling.told = nil
	}
	next.Fails(why)
	next.Stop(why)
}

// Over is the end of a process that is not in the registry.
func (s *service) Over(failure string) {
	main := s.registered()
	told := s.rolling.told
	s.rolling.told = nil
	var err error
	if s.Role() == lifecycle.Replacement {
		if failure == "" {
			failure = "its new process ended"
		}
		reason := "the new process is not used: " + failure
		if main.PID() != 0 && main.State() != Stopping {
			reason += fmt.Sprintf("; the old one (process %d) goes on", main.PID())
		}
		err = waiters.Failed(s, reason)
		main.rolling.replacement = nil
		if main.Stream() == nil {
			main.PrintInto(s.Stream())
		}
	} else {
		delete(main.rolling.replaced, s)
	}
	s.rolling = rolling{}
	if err != nil {
		main.Tell(control.EventRolling, "%s", err.(*waiters.Error).Reason)
	} else {
		main.Tell(control.EventRolling, "the old process is gone")
	}
	if told != nil {
		told(err)
	}
	main.GoOnAlone()
}

// AwaitsOthers says whether s, which has come to its end, is to wait for its other processes. When
// it is to be started again it does not wait.
func (s *service) AwaitsOthers() bool {
	return (!s.Wanted || s.engine.shared.Closing) &&
		(s.rolling.replacement != nil || len(s.rolling.replaced) > 0)
}

// ofBeside turns the event of a process that is not in the registry into one of the service.
func (s *service) ofBeside(ev control.Event) control.Event {
	who := "new process: "
	if s.Role() == lifecycle.Replaced {
		who = "old process: "
	}
	if ev.Kind == control.EventState {
		ev.Kind = control.EventRolling
		if ev.Reason == "" {
			ev.Reason = string(s.State())
		}
	}
	main := s.registered()
	ev.State, ev.From = main.State(), ""
	ev.Reason = who + ev.Reason
	return ev
}
