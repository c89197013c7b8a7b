package lifecycle

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
)

// deadline has f run by the owner in d, unless the timer is stopped before, or by what waits to be
// heard then.
func (s *Service) deadline(t timer, d time.Duration, f func()) {
	s.after(t, d, func() { s.reach(t, f, false) })
}

// reach is the moment of a deadline. One that comes late is moved, once.
func (s *Service) reach(t timer, f func(), moved bool) {
	if late := s.shared.Loop.Late(); late > lateness && !moved {
		s.after(t, min(late, mostLate), func() { s.reach(t, f, true) })
		return
	}
	if s.shared.Hearing.Address() == "" {
		f()
		return
	}
	// The timer runs on meanwhile, so that it can be stopped and postponed.
	s.after(t, hearingTime, f)
	a := &s.timers[t]
	a.Becomes(func() { s.reach(t, f, moved) })
	s.shared.Hearing.WhenAllIsHeard(a.Unchanged(), func() {
		s.stop(t)
		f()
	})
}
