package supervise

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// end is what not being wanted any more leads to, from a state with a process; it is
// also the first half of a restart.
func (e *Engine) end(s *service, why cause) { e.beginStop(s, why.text) }

// beginStop starts to end s. If services that depend on it are being ended
// too, they go first.
func (e *Engine) beginStop(s *service, why string) {
	s.quiet()
	s.step = 0
	e.enter(s, Stopping, why)
	if e.mustHold(s) {
		s.holding = true
		e.pending[s] = struct{}{}
		return
	}
	e.runStop(s)
}

// mustHold says whether something that needs s is still to be ended before it.
func (e *Engine) mustHold(s *service) bool {
	if s.wanted && !e.closing {
		return false // a restart or a failure concerns s alone
	}
	for d := range e.stopping {
		if d != s && d.dependsOn(s) && d.state != Stopped {
			return true
		}
	}
	return false
}

func (e *Engine) releaseStop(s *service) {
	if !s.holding || s.state != Stopping || e.mustHold(s) {
		return
	}
	s.holding = false
	delete(e.pending, s)
	e.runStop(s)
}

// runStop runs the stop command, if there is one, and then the schedule of signals.
func (e *Engine) runStop(s *service) {
	if s.pid == 0 {
		if s.spec.Type == spec.Oneshot || s.exit != nil {
			e.sweep(s) // a oneshot that remains has no process
		}
		return // still being started: spawnedLate goes on from here
	}
	if len(s.spec.StopCommand) == 0 {
		e.nextStep(s, cause{})
		return
	}
	limit := time.Duration(*s.spec.StopTimeout)
	e.run(s, s.spec.StopCommand, limit, func(err error) {
		if err != nil {
			e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("stop command: %v", err)})
		}
		if s.state == Stopping && s.pid != 0 {
			// What the command began may take its time as well.
			e.after(s, timerStop, limit, func() { e.happen(s, hStepOver, cause{}) })
		}
	})
}

// nextStep sends the next signal of the schedule, KILL after the last.
func (e *Engine) nextStep(s *service, _ cause) {
	if s.pid == 0 || s.draining || s.holding {
		return
	}
	if s.step >= len(s.spec.Stop) {
		e.kill(s, syscall.SIGKILL)
		return
	}
	step := s.spec.Stop[s.step]
	s.step++
	sig, err := step.Signal.Number()
	if err != nil { // a signal that this system does not have: validated, but elsewhere
		e.emit(s, Event{Kind: EventTrouble, Reason: err.Error()})
		sig = syscall.SIGKILL
	}
	if s.spec.StopTo == spec.StopAll {
		e.killGroup(s, sig)
	}
	e.kill(s, sig)
	// A stopped process takes no signal but KILL before it is continued.
	if sig != syscall.SIGKILL {
		_ = e.kernel.kill(s.pid, syscall.SIGCONT) // gone or not ours is noticed with the signal itself
	}
	e.after(s, timerStop, time.Duration(step.Wait), func() { e.happen(s, hStepOver, cause{}) })
}

// kill signals the main process, which is our child and not reaped: its pid is its own.
func (e *Engine) kill(s *service, sig syscall.Signal) {
	reason := signalName(sig)
	if err := e.kernel.kill(s.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		reason = fmt.Sprintf("%s: %v", reason, err)
	}
	e.emit(s, Event{Kind: EventSignal, Reason: reason})
}

// killGroup signals the service's own process group. The session's leader is our child and not yet
// reaped, so the number is the service's.
func (e *Engine) killGroup(s *service, sig syscall.Signal) {
	if err := e.kernel.kill(-s.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("signal process group: %v", err)})
	}
}

// sweep ends what the main process of s left behind, all of which is our child
// by now, or the descendant of one; then s goes on to what is next for it.
func (e *Engine) sweep(s *service) {
	if err := e.adopt(); err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("look for processes left behind: %v", err)})
	}
	if s.orphans == 0 {
		e.decide(s, cause{})
		return
	}
	why := s.reason
	if s.state != Stopping {
		why = fmt.Sprintf("%d processes left behind", s.orphans)
	}
	e.enter(s, Stopping, why)
	// The main process is gone: nobody is left to tell them in good order. They get what
	// a session gets that loses its terminal's owner, the stop signal, and a moment.
	e.killOrphans(s, syscall.SIGTERM)
	e.after(s, timerStop, orphanGrace, func() { e.sweepHard(s) })
}

// orphanGrace is the time between SIGTERM and SIGKILL for what a dead main process has left behind.
const orphanGrace = 500 * time.Millisecond

// sweepPeriod is how often what does not end is looked for and killed again: a
// process may fork between the look and the signal, and its child becomes ours only then.
const sweepPeriod = 10 * time.Millisecond

func (e *Engine) sweepHard(s *service) {
	if s.state != Stopping || s.pid != 0 {
		return
	}
	if err := e.adopt(); err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("look for processes left behind: %v", err)})
	}
	if s.orphans == 0 {
		e.happen(s, hGone, cause{})
		return
	}
	e.killOrphans(s, syscall.SIGKILL)
	e.after(s, timerStop, sweepPeriod, func() { e.sweepHard(s) })
}

func (e *Engine) killOrphans(s *service, sig syscall.Signal) {
	n := 0
	for pid, owner := range e.orphans {
		if owner == s && e.kernel.kill(pid, sig) == nil {
			n++
		}
	}
	if n > 0 {
		e.emit(s, Event{Kind: EventStray, Reason: fmt.Sprintf("%s to %d processes left behind", signalName(sig), n)})
	}
}

// orphanDied takes note that an adopted process has ended.
func (e *Engine) orphanDied(pid int) {
	s := e.orphans[pid]
	delete(e.orphans, pid)
	if s == nil {
		return
	}
	s.orphans--
	if s.state != Stopping || s.pid != 0 || s.draining {
		return
	}
	// Its own children have become ours at this moment.
	if err := e.adopt(); err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("look for processes left behind: %v", err)})
	}
	if s.orphans == 0 {
		s.stop(timerStop)
		e.happen(s, hGone, cause{})
	}
}

// shutdown ends everything, in order. What was wanted stays wanted, for the next supervisor.
func (e *Engine) shutdown() {
	e.closing = true
	var all []*service
	for _, s := range e.sorted() {
		if s.state != Stopped {
			all = append(all, s)
		}
	}
	e.unwant(all, "the supervisor is shutting down")
	e.checkIdle()
}

// checkIdle ends the engine when it is closing and nothing is left to do.
func (e *Engine) checkIdle() {
	if !e.closing {
		return
	}
	for _, s := range e.services {
		if s.state != Stopped && s.state != Failed {
			return
		}
	}
	select {
	case <-e.idle:
	default:
		close(e.idle)
	}
}
