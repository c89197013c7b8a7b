package waiters

import (
	"fmt"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Want is what somebody waits for.
type Want struct {
	Order Order // that led to it
	Up    bool  // for the service to be up, else down
}

// Waiter is a request that waits for one service.
type Waiter struct {
	Want
	list     *List
	reloaded bool // of a reload: it is done, as far as the process tells
	running  bool // of a reload: its command
	until    time.Time
	answer   chan error // has room for the one answer
}

// Answer has the one answer when the wait is over.
func (w *Waiter) Answer() <-chan error { return w.answer }

// CommandEnded hears that the command by which w has a service reload has ended, and how.
func (w *Waiter) CommandEnded(err error) {
	w.running = false
	if err != nil {
		w.list.tell(func(o *Waiter) (error, bool) { return err, o == w })
	}
}

// overtakenBy says whether an order makes impossible what w waits for.
func (w *Waiter) overtakenBy(by Order) bool {
	switch {
	case w.Order == Reload && (by == Restart || by == Rolling):
		return true // the process that is to do it is replaced
	case by == Rolling:
		return false // all else goes on as if nothing had happened
	case w.Order == Wait && !w.Up:
		return false // the service may be started, and end
	}
	return w.Up == by.wantsDown()
}

// over says whether the wait has come to its end, and how.
func (w *Waiter) over() (error, bool) {
	s := w.list.service
	switch {
	case w.Order == Reload:
		return w.reloadOver()
	case s.State() == control.Stopping && s.WhyRefused() != "" && w.Order != Wait:
		return refused(s), true
	case !w.Up:
		return nil, s.State() == control.Stopped || s.State() == control.Failed
	}
	switch s.State() {
	case control.Ready, control.Listening:
		return nil, !s.Reloading()
	case control.Failed:
		return notUp(s), true
	case control.Backoff:
		return notUp(s), !w.outwaits(s)
	case control.Stopped:
		switch {
		case w.Order == Wait && s.Exit() == nil && !s.Held():
			return nil, false // not started yet
		case s.Completed():
			return nil, true
		case s.Exit() != nil && s.Spec().Type != spec.Oneshot && s.Exit().Code == 0 &&
			s.Exit().Signal == "" && !s.Forked():
			return nil, true // it ran to a good end while we waited
		}
		return notUp(s), true
	case control.Waiting:
		o := s.Obstacle()
		return notUp(s), o.Hopeless || o.Text != "" && !w.outwaits(o.Service)
	}
	return nil, false
}

// outwaits says whether the wait goes on over the delay before the next start of s. For who only
// looks on, and has asked for no start, a crash is no answer if another start follows; for an
// "up" it is none as long as that one comes in time.
func (w *Waiter) outwaits(s Service) bool {
	return w.Order == Wait || w.Order == Apply && s.Next().Before(w.until)
}

// reloadOver is over for a reload: the process that is to have done it must be there still.
func (w *Waiter) reloadOver() (error, bool) {
	s := w.list.service
	if s.State() == control.Ready {
		return nil, w.reloaded && !s.Reloading()
	}
	how := string(s.State())
	if s.Exit() != nil && s.PID() == 0 {
		how = s.Exit().Text
	}
	return fmt.Errorf("%s: reload: it did not outlive it: %s", s.Name(), how), true
}

// byNow is the answer to w when those to all others are there too.
func (w *Waiter) byNow(answer error) error {
	if !w.Up || w.Order == Reload {
		return answer
	}
	s := w.list.service
	failed, ok := answer.(*Error)
	switch {
	case ok && (failed.Retry || failed.Cause != nil) && s.State() == control.Ready:
		return nil
	case answer == nil && (s.State() == control.Failed ||
		s.State() == control.Backoff && w.Order != Wait):
		return notUp(s)
	}
	return answer
}
