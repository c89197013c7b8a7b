package supervise

import (
	"context"
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/control"
)

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
				errs = append(errs, fmt.Errorf("%s: %w", s.Name(), err))
				continue
			}
			waiters = append(waiters, w)
		}
	}); err != nil {
		return err
	}
	return errors.Join(append(errs, e.await(ctx, waiters))...)
}

func (e *Engine) reload(s *service) (*waiter, error) {
	if e.shared.Closing {
		return nil, ErrClosed
	}
	var w *waiter
	err := s.Reload(func(err error) { // its command has ended
		w.running = false
		s.answer(func(o *waiter) (error, bool) { return err, o == w && err != nil })
	})
	if err == nil {
		running := len(s.Spec().ReloadCommand) > 0
		w = s.newWaiter(waiter{order: orderReload, up: true, running: running})
	}
	return w, err
}

// Reloaded tells who has asked for a reload that it is over.
func (s *service) Reloaded(err error) {
	if err != nil {
		s.answer(func(w *waiter) (error, bool) { return err, w.order == orderReload })
	}
	for _, w := range s.waiters {
		w.reloaded = !w.running
	}
	s.wake()
}

// reloadOver is over for a reload: the process that is to have done it must be there still.
func (w *waiter) reloadOver(s *service) (error, bool) {
	if s.State() == Ready {
		return nil, w.reloaded && !s.Reloading()
	}
	how := string(s.State())
	if s.Exit() != nil && s.PID() == 0 {
		how = s.Exit().Text
	}
	return fmt.Errorf("%s: reload: it did not outlive it: %s", s.Name(), how), true
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
