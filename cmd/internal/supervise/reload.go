package supervise

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// ErrNoReload says that a service does not say how it is reloaded.
var ErrNoReload = errors.New("has neither a reload signal nor a reload command")

// Reload has services read their configuration anew, each in its own way, by a command or a signal,
// and returns when they have, as far as can be known: the command has ended well, the signal is not
// one that is ignored, and the process has outlived it. A service that answers with RELOADING=1 is
// waited for until READY=1.
func (e *Engine) Reload(ctx context.Context, names ...string) error {
	var errs []error
	var waiters []*waiter
	if err := e.ask(ctx, func() {
		found, err := e.find(names)
		errs = append(errs, err)
		for _, s := range found {
			w, err := e.reload(s)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.spec.Name, err))
				continue
			}
			waiters = append(waiters, w)
		}
	}); err != nil {
		return err
	}
	return errors.Join(append(errs, e.await(ctx, waiters))...)
}

// reloadAnswer is how long a service has to answer with RELOADING=1, or to die of the signal. What
// does neither by then is taken to have heard it, and not to speak that part of sd_notify(3).
const reloadAnswer = 100 * time.Millisecond

func (e *Engine) reload(s *service) (*waiter, error) {
	switch {
	case e.closing:
		return nil, ErrClosed
	case s.PID() == 0 || s.draining || s.state != Ready:
		return nil, fmt.Errorf("not running (%v)", s.state)
	case len(s.spec.ReloadCommand) > 0:
		w := s.newWaiter(waiter{order: orderReload, up: true, run: s.run})
		e.tell(s, control.EventReload, "reload command")
		e.run(s, s.spec.ReloadCommand, time.Duration(*s.spec.StopTimeout), func(err error) {
			if err != nil {
				err = fmt.Errorf("%s: reload command: %w", s.spec.Name, err)
				s.answer(func(o *waiter) (error, bool) { return err, o == w })
				return
			}
			e.awaitReload(s)
		})
		return w, nil
	case s.spec.Reload == "":
		return nil, ErrNoReload
	}
	sig, err := s.spec.Reload.Number()
	if err != nil {
		return nil, err
	}
	if e.kernel.ignores(s.PID(), sig) {
		return nil, fmt.Errorf("process %d ignores %s", s.PID(), signalName(sig))
	}
	if err := e.procs.Signal(&s.Unit, sig); err != nil {
		return nil, fmt.Errorf("send %s to process %d: %w", signalName(sig), s.PID(), err)
	}
	e.tell(s, control.EventReload, "%s", signalName(sig))
	w := s.newWaiter(waiter{order: orderReload, up: true, run: s.run})
	e.awaitReload(s)
	return w, nil
}

// awaitReload waits for what a service that has been told to reload answers, unless it has answered
// already.
func (e *Engine) awaitReload(s *service) {
	if s.state == Ready && !s.rewound {
		e.after(s, timerReady, reloadAnswer, func() { e.reloadOver(s) })
	}
}

// reloadOver tells who has asked for a reload that it is done.
func (e *Engine) reloadOver(s *service) {
	for _, w := range s.waiters {
		w.reloaded = w.order == orderReload
	}
	s.wake()
}

// reloadOver is over for a reload: the process that is to have done it must be there still.
func (w *waiter) reloadOver(s *service) (error, bool) {
	if s.state == Ready && s.run == w.run {
		return nil, w.reloaded && !s.rewound
	}
	how := string(s.state)
	if s.exit != nil && s.PID() == 0 {
		how = s.exit.Text
	}
	return fmt.Errorf("%s: reload: it did not outlive it: %s", s.spec.Name, how), true
}

// reloading is RELOADING=1. A service may say it without having been asked.
func (e *Engine) reloading(s *service) {
	if s.state != Ready {
		return
	}
	s.rewound = true
	e.tell(s, control.EventReload, "reloading")
	s.stop(timerReady) // it has answered; from here on it has the time of a start
	if limit := *s.spec.Timeout; limit != spec.Forever {
		e.deadline(s, timerReady, time.Duration(limit), func() { e.reloadLate(s) })
	}
}

// reloaded is READY=1 after RELOADING=1.
func (e *Engine) reloaded(s *service, _ cause) {
	if !s.rewound {
		return
	}
	s.stop(timerReady)
	s.rewound = false
	e.tell(s, control.EventReload, "reloaded")
	e.reloadOver(s)
}

// reloadLate tells that a reload did not come to its end. The service goes on: it may well serve.
func (e *Engine) reloadLate(s *service) {
	s.rewound = false
	err := fmt.Errorf("%s: reload: not ready again within %v", s.spec.Name, s.spec.Timeout)
	e.trouble(s, "%v", err)
	s.answer(func(w *waiter) (error, bool) { return err, w.order == orderReload })
	s.wake()
}

// Wait returns when every service is in the state asked for: "ready" for up, anything else for
// down. Nothing is started or stopped for it.
func (e *Engine) Wait(ctx context.Context, state control.State, names ...string) error {
	var err error
	var waiters []*waiter
	if askErr := e.ask(ctx, func() {
		var found []*service
		if found, err = e.find(names); err == nil {
			waiters = e.waitFor(found, waiter{order: orderWait, up: state == Ready, watches: true})
		}
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return e.await(ctx, waiters)
}
