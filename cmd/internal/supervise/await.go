package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// order is what somebody has asked for, in the word for it.
type order string

const (
	orderStart   order = "start"
	orderStop    order = "stop"
	orderRestart order = "restart"
	orderRolling order = "rolling restart"
	orderReload  order = "reload"
	orderRemove  order = "remove"
	orderApply   order = "up"
	orderDrop    order = "up without it"
	orderWait    order = "wait"
	orderEnd     order = "end of the supervisor"
)

// wantsDown says whether services are to be down after an order.
func (o order) wantsDown() bool {
	return o == orderStop || o == orderRemove || o == orderDrop || o == orderEnd
}

// waiter is a request that waits for one service.
type waiter struct {
	order   order
	up      bool // for it to be up, else down
	retries bool // a crash on the way is no answer, as long as it is tried again before until
	// who waits only looks on, and has asked for no start or stop: a crash is no answer if another
	// start follows
	watches  bool
	reloaded bool // of a reload: it is done, as far as the process tells
	running  bool // of a reload: its command
	until    time.Time
	service  *service
	result   chan error // has room for the one answer
}

// OvertakenError says that something was not done, because what somebody asked for after it is the
// opposite.
type OvertakenError struct {
	Name string
	What string // was not done: "start"
	By   string // came later: "stop"
}

func (e *OvertakenError) Error() string { return e.Name + ": " + e.Reason() }

// Reason is the error without the name.
func (e *OvertakenError) Reason() string {
	return fmt.Sprintf("%s: overtaken by a later %s", e.What, e.By)
}

// RefusedError says that a service is not ended, because the kernel does not let us signal one of
// its processes.
type RefusedError struct{ Name, Reason string }

func (e *RefusedError) Error() string { return e.Name + ": " + e.Reason }

func overtaken(s *service, what, by order) error {
	if by == orderEnd {
		return ErrClosed
	}
	return &OvertakenError{Name: s.Name(), What: string(what), By: string(by)}
}

// overtake answers those who wait for what an order, which is about to be carried out, makes
// impossible. Who only watches a service for its end waits on: it may be started, and end.
func (e *Engine) overtake(s *service, by order) {
	s.answer(func(w *waiter) (error, bool) {
		over := w.up == by.wantsDown()
		if !w.up && w.watches {
			over = false
		}
		return overtaken(s, w.order, by), over
	})
	if by == orderRestart {
		e.overtakeReloads(s, by)
	}
}

// overtakeReloads answers those who wait for the reload of a process that is being replaced.
func (e *Engine) overtakeReloads(s *service, by order) {
	s.answer(func(w *waiter) (error, bool) {
		return overtaken(s, w.order, by), w.order == orderReload
	})
}

// wake answers those whose wait is over.
func (s *service) wake() {
	s.answer(func(w *waiter) (error, bool) { return w.over(s) })
}

// answer gives those who wait the answer that f has for them, if it has one.
func (s *service) answer(f func(*waiter) (error, bool)) {
	s.waiters = slices.DeleteFunc(s.waiters, func(w *waiter) bool {
		err, over := f(w)
		if over {
			w.result <- err
		}
		return over
	})
}

// over says whether the wait has come to its end, and how.
func (w *waiter) over(s *service) (error, bool) {
	switch {
	case w.order == orderReload:
		return w.reloadOver(s)
	case s.State() == Stopping && s.WhyRefused() != "" && !w.watches:
		return &RefusedError{Name: s.Name(), Reason: s.WhyRefused()}, true
	case !w.up:
		return nil, s.State() == Stopped || s.State() == Failed
	}
	switch s.State() {
	case Ready, Listening:
		return nil, !s.Reloading()
	case Failed:
		return s.startError(), true
	case Backoff:
		return s.startError(), !w.outwaits(s)
	case Stopped:
		switch {
		case w.watches && s.Exit() == nil && !s.held:
			return nil, false // not started yet
		case s.Completed():
			return nil, true
		case s.Exit() != nil && s.Spec().Type != spec.Oneshot && s.Exit().Code == 0 &&
			s.Exit().Signal == "" && !s.Forked():
			return nil, true // it ran to a good end while we waited
		}
		return s.startError(), true
	case Waiting:
		o := s.obstacle
		return s.startError(), o.hopeless || o.text != "" && !w.outwaits(o.service)
	}
	return nil, false
}

// outwaits says whether the wait goes on over the delay before the next start of s.
func (w *waiter) outwaits(s *service) bool {
	return w.watches || w.retries && s.Next().Before(w.until)
}

// StartError says why a service did not come up.
type StartError struct {
	Name   string
	Reason string
	// how its process ended, nil if there was none
	Exit *control.Exit
	// it will be tried again
	Retry bool
	// why there was no process, or none in time: for errors.As, such as *spawn.StepError; else nil
	Err error
	// of the service that is down, perhaps several steps away, if this one waits for it; else nil
	Cause *StartError
}

// startError is why s is not up.
func (s *service) startError() *StartError {
	e := &StartError{Name: s.Name(), Reason: s.Reason()}
	switch down := s.obstacle.service; {
	case s.State() != Waiting:
		e.Exit, e.Err = s.Exit(), s.Cause()
		e.Retry = s.State() == Backoff || s.State() == Failed && !s.Next().IsZero()
	case down != nil && (down.State() == Failed || down.State() == Backoff):
		e.Cause = down.startError()
	}
	return e
}

// Status is the exit status for a command that was to start the service, as timeout(1) and env(1)
// have them: the program's own, 128+N for signal N, 124 not ready in time, 126 not executable, 127
// not found, 125 for anything else that kept it from coming up.
func (e *StartError) Status() int {
	switch {
	case errors.Is(e.Err, lifecycle.ErrNotReady):
		return spawn.StatusNotReady
	case e.Err != nil || e.Exit == nil:
		return spawn.StatusOf(e.Err)
	case e.Exit.Signal != "" || e.Exit.Code != 0:
		return e.Exit.Status()
	}
	return spawn.StatusFailed // it ended well, but before it was up
}

func (e *StartError) Error() string {
	s := e.Name + ": " + e.Reason
	if e.Retry {
		s += "; it is tried again"
	}
	if e.Cause != nil {
		s += "; " + e.Cause.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }

// patience is how long a service that crashes on its way up, and is started again, is waited for at
// most: as long as what it needs, such as the port of a predecessor, is most often not free.
const patience = 10 * time.Second

// waitFor makes a waiter like w for each service. Those for which nothing is to be waited have
// their answer at once.
func (e *Engine) waitFor(list []*service, w waiter) []*waiter {
	e.recheckAll(list)
	waiters := make([]*waiter, len(list))
	for i, s := range list {
		waiters[i] = s.newWaiter(w)
	}
	for _, w := range waiters {
		w.service.wake()
	}
	return waiters
}

func (s *service) newWaiter(like waiter) *waiter {
	w := &like
	w.service, w.result = s, make(chan error, 1)
	w.until = time.Now().Add(min(time.Duration(*s.Spec().Timeout), patience))
	s.waiters = append(s.waiters, w)
	return w
}

// await waits until all answers are there. One that has failed and come up since, while others were
// waited for, is up; one that was up and has failed since is down.
func (e *Engine) await(ctx context.Context, waiters []*waiter) error {
	errs := make([]error, len(waiters))
	for i, w := range waiters {
		var end error
		select {
		case errs[i] = <-w.result:
			continue
		case <-ctx.Done():
			end = context.Cause(ctx)
		case <-e.loop.Ended():
			end = ErrClosed
		}
		select {
		case errs[i] = <-w.result: // the answer came with the end
		default:
			e.post(func() { giveUp(waiters[i:]) })
			return end
		}
	}
	_ = e.ask(ctx, func() { // at the end of the engine nothing comes up any more
		for i, w := range waiters {
			errs[i] = w.byNow(errs[i])
		}
	})
	return errors.Join(errs...)
}

// byNow is the answer to a waiter when those to all others are there too.
func (w *waiter) byNow(answer error) error {
	if !w.up || w.order == orderReload {
		return answer
	}
	s := w.service.registered()
	failed, ok := answer.(*StartError)
	switch {
	case ok && (failed.Retry || failed.Cause != nil) && s.State() == Ready:
		return nil
	case answer == nil && (s.State() == Failed || s.State() == Backoff && !w.watches):
		return s.startError()
	}
	return answer
}

// giveUp forgets waiters that nobody waits behind any more.
func giveUp(waiters []*waiter) {
	for _, w := range waiters {
		w.service.waiters = slices.DeleteFunc(w.service.waiters,
			func(o *waiter) bool { return o == w })
	}
}
