package supervise

import "time"

// A limit is over when its timer says so, and that is not all there is to know: what was said in
// time may be waiting in the notify socket, and while we did not run (SIGSTOP, a machine that stood
// still) nobody could be seen to keep to it.

const (
	// lateness is from which delay of a timer on we count as not having run.
	lateness = 100 * time.Millisecond
	// mostLate is how much time is given at most for that.
	mostLate = 5 * time.Second
	// hearingTime bounds the wait for what is in the socket: others can fill it faster than we
	// read.
	hearingTime = time.Second
	// hearingPeriod is how often we look whether all of it has been taken in.
	hearingPeriod = time.Millisecond
)

// deadline has f run by the owner in d, unless the timer is stopped before, or by what waits to be
// heard then.
func (e *Engine) deadline(s *service, t timer, d time.Duration, f func()) {
	e.after(s, t, d, func() { e.reach(s, t, f, false) })
}

// reach is the moment of a deadline. One that comes late is moved, once.
func (e *Engine) reach(s *service, t timer, f func(), moved bool) {
	if late := e.loop.Late(); late > lateness && !moved {
		e.after(s, t, min(late, mostLate), func() { e.reach(s, t, f, true) })
		return
	}
	if e.notify == nil {
		f()
		return
	}
	// The timer runs on meanwhile, so that it can be stopped and postponed.
	e.after(s, t, hearingTime, f)
	a := &s.timers[t]
	a.Becomes(func() { e.reach(s, t, f, moved) })
	e.hearAll(a.Unchanged(), func() {
		s.stop(t)
		f()
	})
}

// hearAll runs then by the owner when all that is in the notify socket has been taken in, unless it
// is in vain by then.
func (e *Engine) hearAll(matters func() bool, then func()) {
	if !matters() {
		return
	}
	// Whoever receives holds the lock until the message is in the mailbox, which then runs after
	// it.
	e.receiving.Lock()
	waiting := e.notify.Waiting()
	e.receiving.Unlock()
	if waiting {
		time.AfterFunc(hearingPeriod, func() { e.post(func() { e.hearAll(matters, then) }) })
		return
	}
	e.post(func() {
		if matters() {
			then()
		}
	})
}
