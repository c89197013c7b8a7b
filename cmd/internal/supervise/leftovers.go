package supervise

import (
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
)

// orphanGrace is the time between the stop signal and SIGKILL for what has had none before its main
// process had to be killed, and so the schedule was over.
const orphanGrace = 500 * time.Millisecond

// sweepPeriod is how often what does not end is looked for and killed again: a
// process may fork between the look and the signal, and its child becomes ours only then.
const sweepPeriod = 10 * time.Millisecond

// memberPeriod is how often those are looked at whose end nobody tells us: members of the control
// group that are no children of ours.
const memberPeriod = 100 * time.Millisecond

// sweep ends what the main process of s left behind, all of which is our child
// by now, or the descendant of one; then s goes on to what is next for it.
func (e *Engine) sweep(s *service) {
	if s.Adopted() {
		e.enter(s, Stopping, s.reason)
		e.surveyFor(s, func() { e.sweepFound(s) })
		return
	}
	e.sweepFound(s)
}

// surveyFor runs then after a survey, if s still waits for what it may have left behind.
func (e *Engine) surveyFor(s *service, then func()) {
	run := s.run
	e.procs.Survey(func() {
		if s.run == run && s.isSwept() {
			then()
		}
	})
}

func (e *Engine) sweepFound(s *service) {
	found := e.procs.Look(&s.Unit)
	if found && e.procs.Empty(&s.Unit) && !e.waitsForOthers(s) {
		e.sweptClean(s)
		return
	}
	why := s.reason
	if n := len(e.procs.Left(&s.Unit)); n > 0 {
		left := countOf(n, "process", "processes")
		if s.state != Stopping {
			why = left + " left behind"
		}
		s.putItselfAway(left)
	}
	e.enter(s, Stopping, why)
	e.procs.EndCommands(&s.Unit, false)
	e.endRest(s)
}

// putItselfAway notes what most often is the reason when a main process ends well and leaves
// others.
func (s *service) putItselfAway(left string) {
	if !s.endsWell || s.forked != "" {
		return
	}
	s.forked = ", and left " + left + " behind: it puts itself into the background, and must be told not to (an option such as --foreground or --no-daemon)"
	if s.failure != "" {
		s.failure += s.forked
	}
}

// endRest ends what the main process has left behind in the way in which the service is ended: with
// the signal of the step that is under way, for the rest of its time, and with the steps after it.
// After a crash the schedule begins.
func (e *Engine) endRest(s *service) {
	switch {
	case s.Killing:
		e.sweepHard(s)
	case s.killed:
		if e.signalLeft(s, 1, e.stepSignal(s, s.spec.Stop[0])) == 0 {
			e.sweepHard(s)
			return
		}
		e.after(s, timerStop, orphanGrace, func() { e.sweepHard(s) })
	case s.step == 0 || !s.timers[timerStop].Set(): // of the latter the time was over while its last output was saved
		e.nextStep(s, cause{})
	default:
		e.tellRest(s)
	}
}

// nextStepOfRest sends what is left behind the next signal of the schedule.
func (e *Engine) nextStepOfRest(s *service) {
	if s.Killing || s.step >= len(s.spec.Stop) {
		e.sweepHard(s)
		return
	}
	_, wait := e.takeStep(s)
	e.after(s, timerStop, wait, func() { e.happen(s, hStepOver, cause{}) })
	e.tellRest(s)
}

// tellRest sends what is left behind the signal of the step that is under way, unless it has had
// it. Whoever is found later is told later.
func (e *Engine) tellRest(s *service) {
	if s.Killing || s.killed || s.step < 1 || s.step > len(s.spec.Stop) {
		return
	}
	e.signalLeft(s, s.step, e.stepSignal(s, s.spec.Stop[s.step-1]))
	for _, member := range e.procs.Left(&s.Unit) {
		if member {
			e.lookLater(s, memberPeriod)
			break
		}
	}
}

// lookLater looks again in d whether anything is left of s.
func (e *Engine) lookLater(s *service, d time.Duration) {
	if s.timers[timerSweep].Set() {
		return
	}
	e.after(s, timerSweep, d, func() {
		if s.isSwept() {
			e.isSweptClean(s)
		}
	})
}

// isSwept says whether s is waiting for what its main process has left behind.
func (s *service) isSwept() bool {
	return s.state == Stopping && s.PID() == 0 && !s.draining && !s.spawning()
}

// startKilling has also what is found from here on killed.
func (s *service) startKilling() {
	if !s.Killing {
		s.Killing, s.killedAt = true, time.Now()
	}
}

// sweepHard kills what is left, until nothing is.
func (e *Engine) sweepHard(s *service) {
	if s.state != Stopping || s.PID() != 0 {
		return
	}
	s.startKilling()
	e.signalLeft(s, len(s.spec.Stop)+1, syscall.SIGKILL)
	if e.isSweptClean(s) {
		return
	}
	period := sweepPeriod
	if since := time.Since(s.killedAt); since > stuckAfter {
		period = stuckAfter / 10 // no use in haste
		for pid := range e.procs.Left(&s.Unit) {
			if since < stuckAfter+2*period {
				e.stuck(s, pid)
			}
			break
		}
	}
	e.after(s, timerStop, period, func() { e.sweepHard(s) })
}

// isSweptClean looks again and goes on with s if nothing of it is left.
func (e *Engine) isSweptClean(s *service) bool {
	if s.Adopted() {
		e.surveyFor(s, func() { e.finishSweep(s) })
		return false
	}
	return e.finishSweep(s)
}

func (e *Engine) finishSweep(s *service) bool {
	if !e.procs.Look(&s.Unit) || !e.procs.Empty(&s.Unit) || e.waitsForOthers(s) {
		e.tellRest(s) // also those that were found now
		return false
	}
	e.sweptClean(s)
	return true
}

// sweptClean goes on with a service of which nothing is left.
func (e *Engine) sweptClean(s *service) {
	s.stop(timerStop)
	s.stop(timerSweep)
	if err := e.procs.Forget(&s.Unit); err != nil {
		e.trouble(s, "remove control group: %v", err)
	}
	if s.state == Stopping {
		e.happen(s, hGone, cause{text: "gone"})
		return
	}
	e.decide(s, cause{})
}

// signalLeft signals what is left behind and has not had the signal of this step, and returns how
// many that are.
func (e *Engine) signalLeft(s *service, step int, sig syscall.Signal) int {
	n := e.procs.SignalLeft(&s.Unit, step, sig)
	e.sayLeft(s, n, sig)
	return n
}

// sayLeft says that n processes left behind were signalled; with SIGKILL once, for it is sent again
// and again.
func (e *Engine) sayLeft(s *service, n int, sig syscall.Signal) {
	if n > 0 && (sig != syscall.SIGKILL || !s.told) {
		s.told = sig == syscall.SIGKILL
		e.tell(s, control.EventStray, "%s to %s left behind", signalName(sig), countOf(n, "process", "processes"))
	}
}

// LeftoverDied takes note that a process left behind has ended.
func (s *service) LeftoverDied() {
	s.refused = "" // if it was another one, that is seen again
	switch e := s.engine; {
	case !s.isSwept():
	case !s.HasLeftovers():
		e.isSweptClean(s) // its own children have become ours at this moment
	default:
		e.lookLater(s, sweepPeriod) // so have they, and are to be told
	}
}

// Trouble tells what could not be seen or done of its processes.
func (s *service) Trouble(err error) {
	s.engine.trouble(s, "%v", err)
}

// Refused tells that a process could not be signalled.
func (s *service) Refused(pid int, err error) { s.engine.refuse(s, pid, err) }
