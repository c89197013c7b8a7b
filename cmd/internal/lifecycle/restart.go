package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// finishOneshot is the success of a oneshot. Others may depend on it from now on.
func (s *Service) finishOneshot() {
	s.completed = true
	if s.spec.Remain {
		s.enter(Ready, "completed")
		return
	}
	s.Wanted = false
	s.owner.WantedChanged()
	s.enter(Stopped, "completed")
}

// retry starts s again, after the delay that its crashes have earned, or gives up.
func (s *Service) retry(failure string) {
	now := time.Now()
	budget, backoff := s.spec.Budget, s.spec.Backoff
	span := time.Duration(*budget.Window)
	if now.Sub(s.startedAt) >= span {
		s.crashes = 0 // a long healthy run: what was before it is forgotten
	}
	if most := *budget.Restarts; most >= 0 {
		// One that lies ahead is from before a reboot or an earlier supervisor, and the clock has
		// been set back since.
		s.window = slices.DeleteFunc(s.window,
			func(t time.Time) bool { return t.After(now) || now.Sub(t) >= span })
		if len(s.window) >= most {
			s.fail(exhaustedText(failure, len(s.window), budget))
			return
		}
		s.window = append(s.window, now)
	}
	s.restarts++
	// The first crash after a good run is answered at once: most often it is not
	// the beginning of a series, and a service that is down serves nobody.
	var delay time.Duration
	if s.crashes > 0 {
		delay = backoff.Delay(s.crashes, s.shared.Kernel.Random())
	}
	s.crashes++
	if delay <= 0 {
		s.wait()
		return
	}
	s.next = now.Add(delay)
	s.enter(Backoff, failure)
	s.after(timerDelay, delay, func() { s.happen(hDelayOver, cause{}) })
}

func exhaustedText(failure string, n int, budget spec.Budget) string {
	switch {
	case n == 0:
		return failure
	case budget.Retry > 0:
		return fmt.Sprintf("%s; restarted %d times in %v, and not again for %v",
			failure, n, *budget.Window, budget.Retry)
	}
	return fmt.Sprintf("%s; restarted %d times in %v, no more", failure, n, *budget.Window)
}

// fail gives up, perhaps for a while.
func (s *Service) fail(why string) {
	s.enter(Failed, why)
	if every := time.Duration(s.spec.Budget.Retry); every > 0 {
		s.next = time.Now().Add(every)
		s.after(timerDelay, every, func() { s.happen(hDelayOver, cause{}) })
	}
}
