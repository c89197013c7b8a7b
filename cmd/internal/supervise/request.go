package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Status returns the services of names, all if there are none.
func (e *Engine) Status(ctx context.Context, names ...string) (list []control.Status, err error) {
	if askErr := e.ask(ctx, func() {
		var found []*service
		if found, err = e.services.Find(names); err != nil {
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

// status is what there is to know about s at this moment.
func (s *service) status() control.Status {
	st := control.Status{
		Name: s.Spec().Name, Description: s.Spec().Description, State: s.State(),
		Wanted: s.Wanted, Held: s.held,
		PID: s.PID(), Ready: s.State() == Ready || s.State() == Listening, Restarts: s.Restarts(),
		Since: s.Since(), Exit: s.Exit(),
		Reason: s.Reason(), Text: s.Text(), LogError: s.logError, Source: s.source,
		Labels: s.Spec().Labels,
	}
	if s.PID() != 0 {
		st.Started = s.Started()
	}
	if s.State() == Backoff || s.State() == Failed {
		st.Next = s.Next()
	}
	return st
}

// Spec returns the description of a service with all defaults.
func (e *Engine) Spec(ctx context.Context, name string) (sp spec.Service, err error) {
	if askErr := e.ask(ctx, func() {
		s := e.services.Named(name)
		if s == nil {
			err = e.services.NotFound(name)
			return
		}
		sp = s.Spec().Clone()
	}); askErr != nil {
		return sp, askErr
	}
	return sp, err
}

// Start starts services, and those that they require or want, and returns when
// each of names is ready or has failed (waiters.Error, joined).
func (e *Engine) Start(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{Want: waiters.Want{Order: waiters.Start, Up: true}},
		func(found []*service) {
			e.release(found)
			e.want(found, waiters.Start)
		})
}

// Stop stops services, and holds them: neither "up" nor the next supervisor starts them. It
// returns when nothing is left of them.
func (e *Engine) Stop(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{Want: waiters.Want{Order: waiters.Stop}},
		func(found []*service) {
			for _, s := range found {
				s.held = true
			}
			e.unwant(found, "stopped", waiters.Stop)
		})
}

// Restart stops services and starts them, and returns when they are ready again.
func (e *Engine) Restart(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{Want: waiters.Want{Order: waiters.Restart, Up: true}},
		func(found []*service) {
			e.release(found)
			e.endTogether(found)
			for _, s := range found {
				e.restart(s, "restart", waiters.Restart)
			}
			e.want(found, waiters.Restart) // what they require may be down
		})
}

// restart ends s, if it has anything to end, and starts it anew.
func (e *Engine) restart(s *service, why string, by waiters.Order) {
	s.waiters.Overtake(by)
	e.dropReplacement(s, why, by)
	e.comesBack(s)
	s.Restart(why)
}

// request says what the caller of change waits for.
type request struct {
	waiters.Want
	specs bool // descriptions are to be on disk too
}

// change does something to services and waits for what it leads to, and for that what is wanted now
// is on disk.
func (e *Engine) change(ctx context.Context, names []string, r request, do func([]*service)) error {
	var err error
	var list []*waiters.Waiter
	var saved <-chan error
	if askErr := e.ask(ctx, func() {
		if e.shared.Closing {
			err = ErrClosed
			return
		}
		var found []*service
		if found, err = e.services.Find(names); err != nil {
			return
		}
		do(found)
		list = e.waitFor(found, r.Want)
		saved = e.changed(r.specs)
	}); askErr != nil {
		return askErr
	}
	if err != nil {
		return err
	}
	return errors.Join(waiters.Await(ctx, e.loop, list), e.answered(ctx, saved))
}

// changed has what is wanted written, and with specs also what there is. What it returns has
// room for the answer: nil when it is on disk, else a NotSavedError.
func (e *Engine) changed(specs bool) <-chan error {
	saved := make(chan error, 1)
	e.keeper.State.Mark(kept.WantsFile)
	if specs {
		e.keeper.State.Mark(kept.SpecsFile)
	}
	e.keeper.State.Await(func(err error) {
		if err != nil {
			err = &NotSavedError{err}
		}
		saved <- err
	})
	return saved
}

// NotSavedError says that something was done, and would be forgotten if the supervisor ended now.
type NotSavedError struct{ Err error }

func (e *NotSavedError) Error() string {
	return fmt.Sprintf("done, but not on disk: a restarted supervisor would not know it: %v", e.Err)
}

// Unwrap returns why the file could not be written.
func (e *NotSavedError) Unwrap() error { return e.Err }

// waitFor has somebody wait for each service. Those for which nothing is to be waited have their
// answer at once.
func (e *Engine) waitFor(list []*service, want waiters.Want) []*waiters.Waiter {
	e.recheckAll(list)
	waiting := make([]*waiters.Waiter, len(list))
	for i, s := range list {
		waiting[i] = s.waiters.Add(want)
	}
	for _, s := range list {
		s.waiters.Wake()
	}
	return waiting
}

// release takes back that services, and what they need, were stopped by hand.
func (e *Engine) release(list []*service) {
	e.eachNeeded(list, func(s *service) { s.held = false })
}

// eachNeeded calls f for the services of list and all that they require or want, those that come
// first first. It does not look behind what is up already, or on its way there.
func (e *Engine) eachNeeded(list []*service, f func(*service)) {
	seen := map[*service]bool{}
	var visit func(s *service)
	visit = func(s *service) {
		if seen[s] {
			return
		}
		seen[s] = true
		for _, names := range [][]string{s.Spec().Requires, s.Spec().Wants} {
			for _, name := range names {
				for _, d := range e.services.Expand(name) {
					if down := !d.Wanted || d.State() == Failed || d.State() == Backoff; down &&
						!d.Satisfied() {
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
func (e *Engine) want(list []*service, by waiters.Order) {
	e.eachNeeded(list, func(s *service) {
		if !s.held {
			s.waiters.Overtake(by)
			e.comesBack(s)
			s.Start()
		}
	})
}

// comesBack notes that s is to be up, and not to be forgotten if that was asked for before.
func (e *Engine) comesBack(s *service) {
	s.Wanted = true // before it is taken down what is
	if s.removed {
		s.removed = false
		e.recheckFollowers(s) // it does not go, and is followed by nobody
		e.keeper.State.Write(kept.SpecsFile)
	}
}

// unwant makes services unwanted; those that others of them depend on are ended last.
func (e *Engine) unwant(list []*service, why string, by waiters.Order) {
	for _, s := range list {
		if !e.shared.Closing {
			s.Wanted = false
		}
		s.waiters.Overtake(by)
		e.dropReplacement(s, why, by)
	}
	e.endTogether(list)
	for _, s := range list {
		s.Stop(why)
	}
}

// Signal sends a signal to the main process of each service. One that is just being started gets it
// as soon as it runs. KILL for one that is being ended is the end of patience: all of it gets it.
func (e *Engine) Signal(ctx context.Context, sig syscall.Signal, names ...string) error {
	var errs []error
	if err := e.ask(ctx, func() {
		found, err := e.services.Find(names)
		errs = append(errs, err)
		for _, s := range found {
			if s.State() == Stopping && sig == syscall.SIGKILL {
				s.hurry()
				continue
			}
			errs = append(errs, s.Signal(sig))
		}
	}); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// hurry ends patience with all processes of s that are being ended.
func (s *service) hurry() {
	s.Hurry()
	for _, other := range s.rolling.all() {
		if other.State() == Stopping {
			other.Hurry()
		}
	}
}

// Remove stops services and forgets them. Their logs stay.
func (e *Engine) Remove(ctx context.Context, names ...string) error {
	return e.change(ctx, names, request{Want: waiters.Want{Order: waiters.Remove}, specs: true},
		func(found []*service) {
			e.removeAll(found, waiters.Remove)
		})
}

func (e *Engine) removeAll(list []*service, by waiters.Order) {
	e.unwant(list, "removed", by)
	for _, s := range list {
		s.removed = true
		if s.State() == Stopped {
			e.forget(s)
		}
	}
}

// forget drops a service that has stopped for good.
func (e *Engine) forget(s *service) {
	if e.services.Named(s.Name()) != s {
		return
	}
	s.Quiet()
	e.services.Remove(s)
	e.keeper.Journal.Write(s.Name())
	if err := os.Remove(e.readyPipe(s.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.o.Trouble(err)
	}
	s.Tell(control.EventChange, "removed")
	e.changedFor(s)
	if stream := s.Stream(); stream != nil {
		s.PrintInto(nil)
		name, removed := s.Name(), make(chan struct{})
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
