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
// sockets. It is a service value of its own, the successor, that no request finds; it goes through
// the same states by the same table. When it is ready it takes the first one's place in the
// registry, with all that belongs to the service rather than to a process, and the first one, now
// an elder, is ended in its ordinary way. If it fails it goes, and the first one has not noticed.

// kin are the other processes of a service, of the value that is in the registry.
type kin struct {
	successor *service              // comes up to take its place
	elders    map[*service]struct{} // have given it their place and are being ended

	// Of those that are not in the registry:
	succeeds *service
	elderOf  *service
	told     func(error) // how the successor's start ended, once
}

// all are the processes beside that of the registry.
func (k *kin) all() []*service {
	list := slices.Collect(maps.Keys(k.elders))
	if k.successor != nil {
		list = append(list, k.successor)
	}
	return list
}

// registered is the value in the registry for the service that s is a process of.
func (s *service) registered() *service {
	for s.kin.succeeds != nil || s.kin.elderOf != nil {
		if s.kin.succeeds != nil {
			s = s.kin.succeeds
		} else {
			s = s.kin.elderOf
		}
	}
	return s
}

func (s *service) isSuccessor() bool { return s.kin.succeeds != nil }
func (s *service) isElder() bool     { return s.kin.elderOf != nil }

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
	case s.kin.successor != nil:
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
				e.startSuccessor(s, func(err error) { result <- err })
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

// startSuccessor starts a second process of s. told is called when the old one is gone, or with the
// reason why it stays.
func (e *Engine) startSuccessor(s *service, told func(error)) *service {
	h := e.newService(service{spec: s.spec, source: s.source, environ: s.environ, wanted: true, stream: s.stream})
	h.kin.succeeds, h.kin.told = s, told
	s.kin.successor = h
	e.happen(h, hBeside, cause{})
	return h
}

// succeed gives a successor that is ready the place of the process before it, and returns the state
// that the service had by that.
func (e *Engine) succeed(h *service) control.State {
	old := h.kin.succeeds
	h.kin.succeeds, old.kin.successor = nil, nil
	told := h.kin.told
	h.kin.told = nil

	// What belongs to the service. Its description may have changed meanwhile in what a process
	// need not notice.
	e.registry.remove(old)
	h.spec, h.source, h.environ, h.held, h.restarts = old.spec, old.source, old.environ, old.held, old.restarts
	h.logError = old.logError
	h.exit, h.removed, h.described = old.exit, old.removed, old.described
	e.handover.Move(old, h)
	h.since = old.since
	e.registry.add(h)
	e.overtakeReloads(old, orderRolling)
	h.waiters, old.waiters = old.waiters, nil
	for _, w := range h.waiters {
		w.service = h
	}
	e.procs.Prints(&h.Unit, h.Output())
	h.kin.elders, old.kin.elders = old.kin.elders, nil
	if h.kin.elders == nil {
		h.kin.elders = map[*service]struct{}{}
	}
	for elder := range h.kin.elders {
		elder.kin.elderOf = h
	}
	h.kin.elders[old] = struct{}{}
	old.kin.elderOf, old.kin.told = h, told
	old.wanted, old.again = false, false
	e.note(h)
	e.state.Write(wantsFile)
	e.tell(h, control.EventRolling, "process %d takes the place of process %d", h.PID(), old.PID())
	// For everybody else nothing happens but that, perhaps, a service that was down is up.
	return old.state
}

// retire ends the elders that a successor has just made.
func (e *Engine) retire(s *service) {
	for elder := range s.kin.elders {
		if elder.kin.told != nil {
			e.happen(elder, hUnwant, cause{text: "replaced by process " + strconv.Itoa(s.PID())})
			if elder.state == Stopped && elder.isElder() {
				e.decideKin(elder, "") // it had no process any more
			}
		}
	}
}

// dismiss ends the successor of s, if it has one: s itself is being ended or started anew. Who
// asked for a rolling restart that is under way is told what has overtaken it.
func (e *Engine) dismiss(s *service, why string, by order) {
	if s == nil {
		return
	}
	for elder := range s.kin.elders {
		if told := elder.kin.told; told != nil {
			told(overtaken(s, orderRolling, by))
			elder.kin.told = func(error) {} // it is still one that is being replaced
		}
	}
	if s.kin.successor == nil {
		return
	}
	h := s.kin.successor
	if told := h.kin.told; told != nil {
		told(overtaken(s, orderRolling, by))
		h.kin.told = nil
	}
	h.wanted, h.again = false, false
	if h.failure == "" {
		h.failure = why
	}
	e.happen(h, hUnwant, cause{text: why})
}

// decideKin is decide for a process that is not in the registry: it is over.
func (e *Engine) decideKin(s *service, failure string) {
	main := s.registered()
	told := s.kin.told
	s.kin.told = nil
	var err error
	if s.isSuccessor() {
		if failure == "" {
			failure = "its new process ended"
		}
		reason := "the new process is not used: " + failure
		if main.PID() != 0 && main.state != Stopping {
			reason += fmt.Sprintf("; the old one (process %d) goes on", main.PID())
		}
		err = &StartError{Name: s.spec.Name, Reason: reason, Exit: s.exit, Err: s.cause}
		main.kin.successor = nil
		if main.stream == nil {
			main.stream = s.stream
		}
	} else {
		delete(main.kin.elders, s)
	}
	e.enter(s, Stopped, stoppedText(s, failure))
	s.kin = kin{}
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

// waitsForKin says whether s, which has come to its end, is to wait for its other processes: who is
// told that it is down must find nothing of it. When it is to be started again it does not wait.
func (e *Engine) waitsForKin(s *service) bool {
	return (!s.wanted || s.removed || e.closing) && (s.kin.successor != nil || len(s.kin.elders) > 0)
}

// staysDown is not being wanted where nothing runs but, perhaps, a second process.
func (e *Engine) staysDown(s *service, why cause) {
	if e.waitsForKin(s) {
		e.enter(s, Stopping, why.text)
		e.sweep(s)
	}
}

// ofKin turns the event of a process that is not in the registry into one of the service.
func (s *service) ofKin(ev control.Event) control.Event {
	who := "new process: "
	if s.isElder() {
		who = "old process: "
	}
	if ev.Kind == control.EventState {
		ev.Kind = control.EventRolling
		if ev.Reason == "" {
			ev.Reason = string(s.state)
		}
	}
	main := s.registered()
	ev.State, ev.From = main.state, main.state
	ev.Reason = who + ev.Reason
	return ev
}
