package lifecycle

import "time"

// timer is what a service may wait for.
type timer uint8

const (
	timerDelay    timer = iota // before the next start
	timerReady                 // time-out of readiness, or of a reload
	timerSettle                // the next look at readiness
	timerStop                  // the next step of a stop
	timerSweep                 // the next look at what is left behind
	timerWatchdog              // the next WATCHDOG=1 is overdue
	timerLive                  // the next liveness check
	timerMemory                // the next look at memory
	timerIdle                  // the next look at who is connected
	numTimers
)

// after has f run by the owner in d, unless the timer is set again or stopped before.
func (s *Service) after(t timer, d time.Duration, f func()) {
	s.shared.Loop.After(&s.timers[t], d, f)
}

// postpone makes a timer that runs go off no sooner than in d.
func (s *Service) postpone(t timer, d time.Duration) { s.shared.Loop.Postpone(&s.timers[t], d) }

func (s *Service) stop(t timer) { s.timers[t].Stop() }

// quiet ends all waiting for the process that ran.
func (s *Service) quiet() { s.quietBut(numTimers) }

func (s *Service) quietBut(one timer) {
	for t := range numTimers {
		if t != one {
			s.stop(t)
		}
	}
	s.endProbe()
}

func (s *Service) endProbe() {
	if s.cancel != nil {
		s.cancel(nil)
		s.cancel = nil
	}
}
