package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// ErrNoReload says that a service does not say how it is reloaded.
var ErrNoReload = errors.New("has neither a reload signal nor a reload command")

// Reload has services read their configuration anew, each in its own way: a command, whose
// end is the end of the reload, or a signal. After a signal, a service that is
// ready by "notify" is waited for, if it answers with RELOADING=1, until READY=1.
func (e *Engine) Reload(ctx context.Context, names ...string) error {
	var errs []error
	var waiters []*waiter
	var commands []chan error
	if err := e.ask(ctx, func() {
		found, err := e.find(names)
		errs = append(errs, err)
		for _, s := range found {
			w, c, err := e.reload(s)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.spec.Name, err))
			}
			if w != nil {
				waiters = append(waiters, w)
			}
			if c != nil {
				commands = append(commands, c)
			}
		}
	}); err != nil {
		return err
	}
	for _, c := range commands {
		select {
		case err := <-c:
			errs = append(errs, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.ended:
			return ErrClosed
		}
	}
	return errors.Join(append(errs, e.await(ctx, waiters))...)
}

// reloadAnswer is how long a service has to answer a signal with RELOADING=1. What says nothing
// by then is taken not to speak that part of sd_notify(3).
const reloadAnswer = 100 * time.Millisecond

func (e *Engine) reload(s *service) (*waiter, chan error, error) {
	switch {
	case s.pid == 0 || s.draining || s.state != Ready:
		return nil, nil, fmt.Errorf("not running (%v)", s.state)
	case len(s.spec.ReloadCommand) > 0:
		result := make(chan error, 1)
		e.emit(s, Event{Kind: EventReload, Reason: "reload command"})
		e.run(s, s.spec.ReloadCommand, time.Duration(*s.spec.StopTimeout), func(err error) {
			if err != nil {
				err = fmt.Errorf("%s: reload command: %w", s.spec.Name, err)
			}
			result <- err
		})
		return nil, result, nil
	case s.spec.Reload == "":
		return nil, nil, ErrNoReload
	}
	sig, err := s.spec.Reload.Number()
	if err != nil {
		return nil, nil, err
	}
	if err := e.signalOwn(s.pid, sig); err != nil {
		return nil, nil, fmt.Errorf("send %s to process %d: %w", signalName(sig), s.pid, err)
	}
	e.emit(s, Event{Kind: EventReload, Reason: signalName(sig)})
	if s.spec.Ready.Kind != spec.ProbeNotify {
		return nil, nil, nil
	}
	s.rewound = true
	e.after(s, timerReady, reloadAnswer, func() { e.happen(s, hReady, cause{}) })
	w := s.newWaiter(true)
	w.reload = true
	return w, nil, nil
}

// reloading is RELOADING=1. A service may say it without having been asked.
func (e *Engine) reloading(s *service) {
	if s.state != Ready {
		return
	}
	s.rewound = true
	e.emit(s, Event{Kind: EventReload, Reason: "reloading"})
	s.stop(timerReady) // it has answered; from here on it has the time of a start
	if limit := *s.spec.Timeout; limit != spec.Forever {
		e.after(s, timerReady, time.Duration(limit), func() { e.reloadLate(s) })
	}
}

// reloaded is READY=1 after RELOADING=1.
func (e *Engine) reloaded(s *service, _ cause) {
	if !s.rewound {
		return
	}
	s.stop(timerReady)
	s.rewound = false
	e.emit(s, Event{Kind: EventReload, Reason: "reloaded"})
	s.wake()
}

// reloadLate tells that a reload did not come to its end. The service goes on: it may well serve.
func (e *Engine) reloadLate(s *service) {
	s.rewound = false
	err := fmt.Errorf("%s: reload: not ready again within %v", s.spec.Name, s.spec.Timeout)
	e.emit(s, Event{Kind: EventTrouble, Reason: err.Error()})
	for _, w := range s.waiters {
		if w.reload {
			w.result <- err
		}
	}
	s.waiters = slices.DeleteFunc(s.waiters, func(w *waiter) bool { return w.reload })
	s.wake()
}

// Wait returns when every service is in the state asked for: "ready" for up, anything else for down. Nothing is
// started or stopped for it.
func (e *Engine) Wait(ctx context.Context, state State, names ...string) error {
	var err error
	var waiters []*waiter
	if askErr := e.ask(ctx, func() {
		var found []*service
		if found, err = e.find(names); err != nil {
			return
		}
		for _, s := range found {
			w := s.newWaiter(state == Ready)
			w.patient = true
			waiters = append(waiters, w)
			s.wake()
		}
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return e.await(ctx, waiters)
}
