package supervise

import (
	"context"
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
)

// Reload has services read their configuration anew, each in its own way, by a command or a signal,
// and returns when they have, as far as can be known: the command has ended well, the signal is not
// one that is ignored, and the process has outlived it. A service that answers with RELOADING=1 is
// waited for until READY=1.
func (e *Engine) Reload(ctx context.Context, names ...string) error {
	var errs []error
	var list []*waiters.Waiter
	if err := e.ask(ctx, func() {
		found, err := e.services.Find(names)
		errs = append(errs, err)
		for _, s := range found {
			w, err := e.reload(s)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.Name(), err))
				continue
			}
			list = append(list, w)
		}
	}); err != nil {
		return err
	}
	return errors.Join(append(errs, waiters.Await(ctx, e.loop, list))...)
}

func (e *Engine) reload(s *service) (*waiters.Waiter, error) {
	if e.shared.Closing {
		return nil, ErrClosed
	}
	var w *waiters.Waiter
	err := s.Reload(func(err error) { w.CommandEnded(err) })
	if err == nil {
		add := s.waiters.AddReload
		if len(s.Spec().ReloadCommand) > 0 {
			add = s.waiters.AddReloadCommand
		}
		w = add()
	}
	return w, err
}

// Reloaded tells who has asked for a reload that it is over.
func (s *service) Reloaded(err error) { s.waiters.Reloaded(err) }

// Wait returns when every service is in the state asked for: "ready" for up, anything else for
// down. Nothing is started or stopped for it.
func (e *Engine) Wait(ctx context.Context, state control.State, names ...string) error {
	var err error
	var list []*waiters.Waiter
	if askErr := e.ask(ctx, func() {
		var found []*service
		if found, err = e.services.Find(names); err == nil {
			list = e.waitFor(found, waiters.Want{Order: waiters.Wait, Up: state == Ready})
		}
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return waiters.Await(ctx, e.loop, list)
}
