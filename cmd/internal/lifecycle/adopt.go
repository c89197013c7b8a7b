package lifecycle

import (
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// LeaveAlone neither ends nor starts s: it may run, and nobody can prove it.
func (s *Service) LeaveAlone(why string) {
	s.happen(hPlaced, cause{state: Failed, text: why})
	s.unproven, s.next = true, time.Time{}
}

// Found takes note of a process that was found to be the main one of s, by what, and that was
// started then, if that is known.
func (s *Service) Found(by string, started time.Time) {
	if !started.IsZero() {
		s.startedAt = started
	}
	if s.state == Starting {
		return
	}
	why := "found alive by its " + by + "; what was known of it is lost"
	s.happen(hPlaced, cause{state: Ready, text: why})
	if !started.IsZero() {
		s.since = started
	}
}

// GoOn is what is done first with a service that was taken over, and does not wait for others.
func (s *Service) GoOn() {
	if s.PID() != 0 {
		s.Tell(control.EventState, "taken over: process %d", s.PID())
	}
	if s.spec.Orphan == spec.OrphanEnd && s.Adopted() && s.state != Stopping && s.Wanted {
		s.again = true // it was ended because there was no supervisor, or is being
	}
	switch {
	case s.state == Backoff:
		s.waitOut(time.Duration(*s.spec.Backoff.Cap))
	case s.state == Failed && !s.next.IsZero():
		s.waitOut(time.Duration(s.spec.Budget.Retry))
	case s.state == Listening, s.state == Starting && s.PID() == 0 && s.Identity().PID == 0:
		s.happen(hCutShort, cause{})
	case s.state == Stopping:
		s.goOnStopping()
	case s.state == Ready && s.Identity().PID == 0:
		// A oneshot that remains.
	case s.state == Starting || s.state == Ready:
		s.goOnRunning()
	}
}

// waitOut waits for what is left of a delay. The clock may have been set meanwhile: it is never
// longer than longest.
func (s *Service) waitOut(longest time.Duration) {
	delay := min(max(0, time.Until(s.next)), longest)
	s.next = time.Now().Add(delay)
	s.after(timerDelay, delay, func() { s.happen(hDelayOver, cause{}) })
}

// startAgain starts what was about to be started.
func (s *Service) startAgain(_ cause) {
	s.shared.Procs.Renounce(&s.Unit)
	s.enter(Waiting, "")
	s.wait()
}

// goOnRunning goes on with a process that runs, or ran when it was last seen.
func (s *Service) goOnRunning() {
	switch {
	case s.PID() == 0:
		s.lost()
	case s.again: // see GoOn
		s.happen(hRestart, cause{text: "ends without a supervisor"})
	case s.state == Starting:
		s.watchReadyAgain()
	default:
		if s.rewound {
			s.reloading()
		}
		s.watchLiveness()
		s.watchIdle()
	}
}

// lost deals with a process that ended while nobody looked.
func (s *Service) lost() {
	s.Tell(control.EventState, "its process ended while no supervisor ran")
	s.shared.Procs.Lost(&s.Unit)
}

// goOnStopping goes on with a stop: the signal that was sent last has its whole time again.
func (s *Service) goOnStopping() {
	switch {
	case s.PID() == 0:
		s.step = max(0, s.step-1)
		if s.Identity().PID != 0 {
			s.lost()
		} else {
			s.sweep()
		}
	case s.owner.MustHold():
		s.setHolding(true)
	case s.step == 0:
		s.runStop()
	default:
		s.step--
		s.nextStep(cause{})
	}
}
