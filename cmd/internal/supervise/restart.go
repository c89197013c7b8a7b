package supervise

import (
	"fmt"
	"slices"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// decide is what follows when nothing is left of a process: the restart policy.
func (e *Engine) decide(s *service, _ cause) {
	s.quiet()
	failure, again := s.failure, s.again
	e.setHolding(s, false)
	s.failure, s.again, s.rewound, s.Killing, s.told = "", false, false, false, false
	e.procs.Renounce(&s.Unit)
	if s.isReplacement() || s.isReplaced() {
		e.decideBeside(s, failure)
		return
	}
	switch {
	case s.removed || !s.wanted:
		e.enter(s, Stopped, stoppedText(s, failure))
	case e.closing:
		e.enter(s, Stopped, "the supervisor is shutting down")
	case again:
		s.crashes = 0
		e.wait(s)
	case failure == "" && s.spec.OnDemand && s.spec.Type != spec.Oneshot:
		e.listenAgain(s)
	case failure == "" && s.spec.Type == spec.Oneshot:
		e.finishOneshot(s)
	case failure == "" && s.spec.Restart != spec.RestartAlways:
		s.wanted = false
		e.state.Write(wantsFile)
		e.enter(s, Stopped, s.exit.Text+s.forked)
	case failure != "" && s.spec.Restart == spec.RestartNo:
		e.fail(s, failure)
	default:
		if failure == "" {
			failure = s.exit.Text
		}
		e.retry(s, failure)
	}
}

func stoppedText(s *service, failure string) string {
	switch {
	case failure != "":
		return failure
	case s.exit == nil || s.exit.Signal != "":
		return "stopped"
	}
	return "stopped, " + s.exit.Text
}

// finishOneshot is the success of a oneshot. Others may depend on it from now on.
func (e *Engine) finishOneshot(s *service) {
	s.completed = true
	if s.spec.Remain {
		e.enter(s, Ready, "completed")
		return
	}
	s.wanted = false
	e.state.Write(wantsFile)
	e.enter(s, Stopped, "completed")
}

// retry starts s again, after the delay that its crashes have earned, or gives up.
func (e *Engine) retry(s *service, failure string) {
	now := time.Now()
	budget, backoff := s.spec.Budget, s.spec.Backoff
	span := time.Duration(*budget.Window)
	if now.Sub(s.startedAt) >= span {
		s.crashes = 0 // a long healthy run: what was before it is forgotten
	}
	if most := *budget.Restarts; most >= 0 {
		// One that lies ahead is from before a reboot or an earlier supervisor, and the clock has
		// been set back since.
		s.window = slices.DeleteFunc(s.window, func(t time.Time) bool { return t.After(now) || now.Sub(t) >= span })
		if len(s.window) >= most {
			e.fail(s, exhaustedText(failure, len(s.window), budget))
			return
		}
		s.window = append(s.window, now)
	}
	s.restarts++
	// The first crash after a good run is answered at once: most often it is not
	// the beginning of a series, and a service that is down serves nobody.
	var delay time.Duration
	if s.crashes > 0 {
		delay = backoff.Delay(s.crashes, e.kernel.random())
	}
	s.crashes++
	if delay <= 0 {
		e.wait(s)
		return
	}
	s.next = now.Add(delay)
	e.enter(s, Backoff, failure)
	e.after(s, timerDelay, delay, func() { e.happen(s, hDelayOver, cause{}) })
}

func exhaustedText(failure string, n int, budget spec.Budget) string {
	switch {
	case n == 0:
		return failure
	case budget.Retry > 0:
		return fmt.Sprintf("%s; restarted %d times in %v, and not again for %v", failure, n, *budget.Window, budget.Retry)
	}
	return fmt.Sprintf("%s; restarted %d times in %v, no more", failure, n, *budget.Window)
}

// fail gives up, perhaps for a while.
func (e *Engine) fail(s *service, why string) {
	e.enter(s, Failed, why)
	if every := time.Duration(s.spec.Budget.Retry); every > 0 {
		s.next = time.Now().Add(every)
		e.after(s, timerDelay, every, func() { e.happen(s, hDelayOver, cause{}) })
	}
}
