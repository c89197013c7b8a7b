package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// waiter is a request that waits for one service.
type waiter struct {
	service *service
	up      bool       // for it to be up, else down
	patient bool       // a crash on the way is no answer, as long as it is tried again
	reload  bool       // for the end of a reload
	result  chan error // has room for the one answer
}

// wake answers those whose wait is over.
func (s *service) wake() {
	s.waiters = slices.DeleteFunc(s.waiters, func(w *waiter) bool {
		err, over := w.over(s)
		if over {
			w.result <- err
		}
		return over
	})
}

// over says whether the wait has come to its end, and how.
func (w *waiter) over(s *service) (error, bool) {
	if !w.up {
		return nil, s.state == Stopped || s.state == Failed
	}
	failed := &StartError{Name: s.spec.Name, Reason: s.reason, Exit: s.exit, Retry: s.state == Backoff, Err: s.cause}
	switch s.state {
	case Ready, Listening:
		return nil, !s.rewound
	case Failed:
		return failed, true
	case Backoff:
		return failed, !w.patient
	case Stopped:
		switch {
		case w.patient && s.exit == nil:
			return nil, false // not started yet
		case s.completed:
			return nil, true
		case !w.reload && s.exit != nil && s.spec.Type != spec.Oneshot && s.exit.Code == 0 && s.exit.Signal == 0:
			return nil, true // it ran to a good end while we waited
		}
		return failed, true
	case Waiting:
		return &StartError{Name: s.spec.Name, Reason: s.reason}, s.hopeless && !w.patient
	}
	return nil, false
}

// StartError says why a service did not come up.
type StartError struct {
	Name   string
	Reason string
	Exit   *Exit // how its process ended, nil if there was none
	Retry  bool  // it will be tried again
	Err    error // why there was no process, or none in time: for errors.As, such as *spawn.StepError; else nil
}

// Status is the exit status for a command that was to start the service, as timeout(1) and env(1) have
// them: the program's own, 128+N for signal N, 124 not ready in time, 126 not executable, 127 not found,
// 125 for anything else that kept it from coming up.
func (e *StartError) Status() int {
	step, ours := errors.AsType[*spawn.StepError](e.Err)
	switch {
	case errors.Is(e.Err, errReadyTimeout):
		return 124
	case ours && spawn.NotFound(step):
		return 127
	case ours && step.Step == spawn.StepExec:
		return 126
	case e.Err != nil || e.Exit == nil:
		return 125
	case e.Exit.Signal != 0:
		return 128 + int(e.Exit.Signal)
	case e.Exit.Code != 0:
		return e.Exit.Code
	}
	return 125 // it ended well, but before it was up
}

func (e *StartError) Error() string {
	s := e.Name + ": " + e.Reason
	if e.Retry {
		s += "; it is tried again"
	}
	return s
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }

// await waits until all answers are there.
func (e *Engine) await(ctx context.Context, waiters []*waiter) error {
	var errs []error
	for i, w := range waiters {
		select {
		case err := <-w.result:
			errs = append(errs, err)
		case <-ctx.Done():
			e.post(func() { giveUp(waiters[i:]) })
			return context.Cause(ctx)
		case <-e.ended:
			select {
			case err := <-w.result: // the answer came with the end
				errs = append(errs, err)
			default:
				return ErrClosed
			}
		}
	}
	return errors.Join(errs...)
}

// giveUp forgets waiters that nobody waits behind any more.
func giveUp(waiters []*waiter) {
	for _, w := range waiters {
		w.service.waiters = slices.DeleteFunc(w.service.waiters, func(o *waiter) bool { return o == w })
	}
}

func (s *service) newWaiter(up bool) *waiter {
	w := &waiter{service: s, up: up, result: make(chan error, 1)}
	s.waiters = append(s.waiters, w)
	return w
}

// Status returns the services of names, all if there are none.
func (e *Engine) Status(ctx context.Context, names ...string) (list []Status, err error) {
	if askErr := e.ask(ctx, func() {
		var found []*service
		if found, err = e.find(names); err != nil {
			return
		}
		for _, s := range found {
			list = append(list, s.status())
		}
	}); askErr != nil {
		return nil, askErr
	}
	return list, err
}

// Spec returns the description of a service with all defaults.
func (e *Engine) Spec(ctx context.Context, name string) (sp spec.Service, err error) {
	if askErr := e.ask(ctx, func() {
		s := e.byName[name]
		if s == nil {
			err = e.notFound(name)
			return
		}
		sp = s.spec.Clone()
	}); askErr != nil {
		return sp, askErr
	}
	return sp, err
}

// Start starts services, and those that they require or want, and returns when
// each of names is ready or has failed (StartError, joined).
func (e *Engine) Start(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{up: true}, func(found []*service) {
		e.release(found)
		e.want(found)
	})
}

// Stop stops services, and holds them: neither "up" nor the next supervisor starts them. It
// returns when nothing is left of them.
func (e *Engine) Stop(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{}, func(found []*service) {
		for _, s := range found {
			s.held = true
		}
		e.unwant(found, "stopped")
	})
}

// Restart stops services and starts them, and returns when they are ready again.
func (e *Engine) Restart(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{up: true}, func(found []*service) {
		e.release(found)
		e.endTogether(found)
		for _, s := range found {
			e.restart(s, "restart")
		}
		e.want(found) // what they require may be down
	})
}

// restart ends s, if it has anything to end, and starts it anew.
func (e *Engine) restart(s *service, why string) {
	e.dismiss(s, why)
	s.wanted = true
	s.again = s.state == Starting || s.state == Ready || s.state == Stopping
	e.happen(s, hRestart, cause{text: why})
}

// request says what the caller of change waits for.
type request struct {
	up    bool // for the services to be up, else down
	specs bool // for descriptions to be on disk too
}

// change does something to services and waits for what it leads to, and for that what is wanted now is on disk.
func (e *Engine) change(ctx context.Context, names []string, r request, do func([]*service)) error {
	var err error
	var waiters []*waiter
	var saved <-chan error
	if askErr := e.ask(ctx, func() {
		if e.closing {
			err = ErrClosed
			return
		}
		var found []*service
		if found, err = e.find(names); err != nil {
			return
		}
		do(found)
		for _, s := range found {
			waiters = append(waiters, s.newWaiter(r.up))
		}
		for _, s := range found {
			s.wake()
		}
		saved = e.changed(r.specs)
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return errors.Join(e.await(ctx, waiters), e.awaitSaved(ctx, saved))
}

// release takes back that services, and what they need, were stopped by hand.
func (e *Engine) release(list []*service) {
	e.eachNeeded(list, func(s *service) { s.held = false })
}

// eachNeeded calls f for the services of list and all that they require or want, those that come first first.
// It does not look behind what is up already.
func (e *Engine) eachNeeded(list []*service, f func(*service)) {
	seen := map[*service]bool{}
	var visit func(s *service)
	visit = func(s *service) {
		if seen[s] {
			return
		}
		seen[s] = true
		for _, names := range [][]string{s.spec.Requires, s.spec.Wants} {
			for _, name := range names {
				for _, d := range e.expand(name) {
					if !d.wanted && !d.satisfied() {
						visit(d)
					}
				}
			}
		}
		f(s)
	}
	for _, s := range list {
		visit(s)
	}
}

// want makes services wanted, with what they require and want, first those that come first. What
// was stopped by hand stays so.
func (e *Engine) want(list []*service) {
	e.eachNeeded(list, func(s *service) {
		if !s.held {
			s.wanted = true
			e.happen(s, hWant, cause{})
		}
	})
}

// unwant makes services unwanted; those that others of them depend on are ended last.
func (e *Engine) unwant(list []*service, why string) {
	for _, s := range list {
		if !e.closing {
			s.wanted = false
		}
		e.dismiss(s, why)
	}
	e.endTogether(list)
	for _, s := range list {
		e.happen(s, hUnwant, cause{text: why})
	}
}

// Signal sends a signal to the main process of each service. One that is just being started gets it as soon as it runs.
// KILL for one that is being ended is the end of patience: all of it gets it.
func (e *Engine) Signal(ctx context.Context, sig syscall.Signal, names ...string) error {
	var errs []error
	if err := e.ask(ctx, func() {
		found, err := e.find(names)
		errs = append(errs, err)
		for _, s := range found {
			if s.state == Stopping && sig == syscall.SIGKILL {
				e.hurry(s)
				continue
			}
			if s.spawning && s.state == Starting {
				s.signals = append(s.signals, sig) // it may run already, and its pid is about to be known
				continue
			}
			if s.pid == 0 || s.draining {
				errs = append(errs, fmt.Errorf("%s: not running", s.spec.Name))
				continue
			}
			if err := e.signalOwn(s.pid, sig); err != nil {
				errs = append(errs, fmt.Errorf("%s: send %s to process %d: %w", s.spec.Name, signalName(sig), s.pid, err))
				continue
			}
			e.emit(s, Event{Kind: EventSignal, Reason: signalName(sig)})
		}
	}); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// Remove stops services and forgets them. Their logs stay.
func (e *Engine) Remove(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{specs: true}, func(found []*service) {
		e.unwant(found, "removed")
		for _, s := range found {
			s.removed = true
			if s.state == Stopped {
				e.forget(s)
			}
		}
	})
}

// forget drops a service that has stopped for good.
func (e *Engine) forget(s *service) {
	if e.byName[s.spec.Name] != s {
		return
	}
	s.quiet()
	e.remove(s)
	e.noteGone(s)
	if err := os.Remove(e.readyPipe(s.spec.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.o.Trouble(err)
	}
	e.emit(s, Event{Kind: EventChange, Reason: "removed"})
	e.changedFor(s)
	if stream := s.stream; stream != nil {
		s.stream = nil
		name, removed := s.spec.Name, make(chan struct{})
		e.removing[name] = removed
		e.work(func() func() {
			err := stream.Remove()
			close(removed)
			return func() {
				if e.removing[name] == removed {
					delete(e.removing, name)
				}
				if err != nil {
					e.o.Trouble(err)
				}
			}
		})
	}
}
