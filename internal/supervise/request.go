package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/spec"
)

// waiter is a request that waits for one service.
type waiter struct {
	up      bool         // for it to be up, else down
	patient bool         // a crash on the way is no answer, as long as it is tried again
	result  chan outcome // has room for the one answer
}

// outcome is how a wait ended.
type outcome struct {
	name string
	err  error
}

// wake answers those whose wait is over.
func (s *service) wake() {
	kept := s.waiters[:0]
	for _, w := range s.waiters {
		if err, over := w.over(s); over {
			w.result <- outcome{s.spec.Name, err}
		} else {
			kept = append(kept, w)
		}
	}
	s.waiters = kept
}

// over says whether the wait has come to its end, and how.
func (w *waiter) over(s *service) (error, bool) {
	if !w.up {
		return nil, s.state == Stopped || s.state == Failed
	}
	switch s.state {
	case Ready:
		if s.rewound {
			return nil, false
		}
		return nil, true
	case Failed, Backoff:
		if w.patient && s.state == Backoff {
			return nil, false
		}
		return &StartError{Name: s.spec.Name, Reason: s.reason, Exit: s.exit, Retry: s.state == Backoff}, true
	case Stopped:
		if w.patient && s.exit == nil {
			return nil, false // not started yet
		}
		if s.reason == completedText {
			return nil, true
		}
		if s.exit != nil && s.spec.Type != spec.Oneshot && s.exit.Code == 0 && s.exit.Signal == 0 {
			return nil, true // it ran to a good end while we waited
		}
		return &StartError{Name: s.spec.Name, Reason: s.reason, Exit: s.exit}, true
	case Waiting:
		if strings.Contains(s.reason, "("+Failed.String()+")") {
			return &StartError{Name: s.spec.Name, Reason: s.reason}, true
		}
	}
	return nil, false
}

// StartError says why a service did not come up.
type StartError struct {
	Name   string
	Reason string
	Exit   *Exit // how its process ended, nil if there was none
	Retry  bool  // it will be tried again
}

func (e *StartError) Error() string {
	s := e.Name + ": " + e.Reason
	if e.Retry {
		s += "; it is tried again"
	}
	return s
}

// await waits until all answers are there.
func await(ctx context.Context, e *Engine, waiters []*waiter) error {
	var errs []error
	for _, w := range waiters {
		select {
		case o := <-w.result:
			if o.err != nil {
				errs = append(errs, o.err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.ended:
			return ErrClosed
		}
	}
	return errors.Join(errs...)
}

func (s *service) newWaiter(up bool) *waiter {
	w := &waiter{up: up, result: make(chan outcome, 1)}
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
		s := e.services[name]
		if s == nil {
			err = &NotFoundError{Name: name, Hint: spec.Nearest(name, e.names())}
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
	return e.change(ctx, names, true, func(found []*service) {
		for _, s := range found {
			s.held = false
		}
		e.want(found)
	})
}

// Stop stops services, and holds them: neither "up" nor the next supervisor starts them. It
// returns when nothing is left of them.
func (e *Engine) Stop(ctx context.Context, names ...string) error {
	return e.change(ctx, names, false, func(found []*service) {
		for _, s := range found {
			s.held = true
		}
		e.unwant(found, "stopped")
	})
}

// Restart stops services and starts them, and returns when they are ready again.
func (e *Engine) Restart(ctx context.Context, names ...string) error {
	return e.change(ctx, names, true, func(found []*service) {
		for _, s := range found {
			s.held, s.wanted = false, true
			if s.pid != 0 || s.state == Starting || s.state == Ready {
				s.again = true
			}
			e.happen(s, hRestart, cause{text: "restart"})
		}
	})
}

// change does something to services and waits for what it leads to.
func (e *Engine) change(ctx context.Context, names []string, up bool, do func([]*service)) error {
	var err error
	var waiters []*waiter
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
			waiters = append(waiters, s.newWaiter(up))
		}
		for _, s := range found {
			s.wake()
		}
		e.save()
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return await(ctx, e, waiters)
}

// want makes services wanted, with what they require and want, first those that come first.
func (e *Engine) want(list []*service) {
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
		s.wanted = true
		e.happen(s, hWant, cause{})
	}
	for _, s := range list {
		visit(s)
	}
}

// unwant makes services unwanted; those that others of them depend on are ended last.
func (e *Engine) unwant(list []*service, why string) {
	for _, s := range list {
		if !e.closing {
			s.wanted = false
		}
		if s.state != Stopped {
			e.stopping[s] = struct{}{}
		}
	}
	for _, s := range list {
		e.happen(s, hUnwant, cause{text: why})
	}
}

// Signal sends a signal to the main process of each service.
func (e *Engine) Signal(ctx context.Context, sig syscall.Signal, names ...string) error {
	var errs []error
	if err := e.ask(ctx, func() {
		found, err := e.find(names)
		errs = append(errs, err)
		for _, s := range found {
			if s.pid == 0 || s.draining {
				errs = append(errs, fmt.Errorf("%s: not running", s.spec.Name))
				continue
			}
			if err := e.kernel.kill(s.pid, sig); err != nil {
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
	return e.change(ctx, names, false, func(found []*service) {
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
	if e.services[s.spec.Name] != s {
		return
	}
	s.quiet()
	delete(e.services, s.spec.Name)
	delete(e.pending, s)
	delete(e.stopping, s)
	for pid, owner := range e.orphans {
		if owner == s {
			e.orphans[pid] = nil
		}
	}
	e.emit(s, Event{Kind: EventChange, Reason: "removed"})
	if stream := s.stream; stream != nil {
		s.stream = nil
		e.work(func() {
			if err := stream.Remove(); err != nil {
				e.o.Trouble(err)
			}
		})
	}
}
