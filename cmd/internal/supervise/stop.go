package supervise

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// end is what not being wanted any more leads to, from a state with a process; it is
// also the first half of a restart.
func (e *Engine) end(s *service, why cause) { e.beginStop(s, why.text) }

// comeBack is being wanted while it is being ended: it is started anew after that.
func (e *Engine) comeBack(s *service, _ cause) { s.again, s.wanted = true, true }

// stayDown is not being wanted while it is being ended.
func (e *Engine) stayDown(s *service, _ cause) {
	s.again = false
	if s.holding && !e.mustHold(s) {
		e.releaseStop(s)
	}
}

// beginStop starts to end s. If services that depend on it are being ended
// too, they go first.
func (e *Engine) beginStop(s *service, why string) {
	s.quiet()
	s.step, s.saidStopping = 0, false
	if s.spawning() && s.giveUp != nil {
		s.giveUp(errNotWanted)
	}
	e.enter(s, Stopping, why)
	if e.mustHold(s) {
		e.setHolding(s, true)
		return
	}
	e.runStop(s)
}

// runStop runs the stop command, if there is one, and then the schedule of signals.
func (e *Engine) runStop(s *service) {
	switch {
	case s.spawning() || s.draining:
		return // spawnedLate, spawnFailed or exited goes on from here
	case s.PID() == 0:
		e.sweep(s) // a oneshot that remains has no process
		return
	case s.Killing:
		e.nextStep(s, cause{}) // somebody lost patience
		return
	case len(s.spec.StopCommand) == 0:
		e.nextStep(s, cause{})
		return
	}
	limit := time.Duration(*s.spec.StopTimeout)
	run := s.run
	c := e.run(s, s.spec.StopCommand, limit, func(err error) {
		if err != nil {
			e.trouble(s, "stop command: %v", err)
		}
		switch {
		case s.run != run || s.state != Stopping || s.PID() == 0 || s.draining:
		case err == nil && s.saidStopping: // what the command began may take its time as well
			e.after(s, timerStop, limit, func() { e.happen(s, hStepOver, cause{}) })
		default:
			e.nextStep(s, cause{})
		}
	})
	c.Finishes = true
}

// nextStep sends the next signal of the schedule, KILL after the last: to the main process, or,
// when that has gone, to what it has left behind. The schedule is one for all of the service.
func (e *Engine) nextStep(s *service, _ cause) {
	switch {
	case s.spawning() || s.draining:
		return // endRest goes on from here
	case s.PID() == 0:
		e.nextStepOfRest(s)
		return
	case s.holding:
		return
	}
	if s.step == 0 {
		e.procs.Remember(&s.Unit)
	}
	if s.step >= len(s.spec.Stop) {
		e.kill(s, syscall.SIGKILL)
		e.after(s, timerStop, stuckAfter, func() { e.stuck(s, s.PID()) })
		return
	}
	sig, wait := e.takeStep(s)
	if s.spec.StopTo == spec.StopAll {
		e.sayLeft(s, e.procs.SignalRest(&s.Unit, s.step, sig), sig)
	}
	e.kill(s, sig)
	e.after(s, timerStop, wait, func() { e.happen(s, hStepOver, cause{}) })
}

// takeStep goes on to the next step of the schedule, which there must be.
func (e *Engine) takeStep(s *service) (sig syscall.Signal, wait time.Duration) {
	step := s.spec.Stop[s.step]
	s.step++
	return e.stepSignal(s, step), time.Duration(step.Wait)
}

func (e *Engine) stepSignal(s *service, step spec.StopStep) syscall.Signal {
	sig, err := step.Signal.Number()
	if err != nil { // a signal that this system does not have: validated, but elsewhere
		e.trouble(s, "%v", err)
		return syscall.SIGKILL
	}
	return sig
}

// hurry is the end of patience with a service that is being ended: KILL, to all of it, now.
func (e *Engine) hurry(s *service) {
	e.setHolding(s, false)
	s.step = len(s.spec.Stop)
	s.startKilling()
	e.procs.EndCommands(&s.Unit, true)
	for _, k := range s.rolling.all() {
		if k.state == Stopping {
			e.hurry(k)
		}
	}
	switch {
	case s.spawning() || s.draining: // spawnedLate, or exited, goes on from here
	case s.PID() == 0:
		e.sweepHard(s)
	default:
		e.nextStep(s, cause{})
	}
}

// stuckAfter is how long what was killed may take to be gone before it is told of.
const stuckAfter = 5 * time.Second

// stuck tells that a process was killed and is not gone: it sleeps in the kernel and cannot be
// interrupted, most often because a disk or a network file system does not answer. Its service
// stays where it is until the process has gone, which is noticed like any death: another one must
// not run beside it.
func (e *Engine) stuck(s *service, pid int) {
	if s.state != Stopping || pid == 0 || s.refused != "" {
		return
	}
	state := "?"
	if stat, err := e.kernel.Stat(pid); err == nil && stat.State != 0 {
		state = string(stat.State)
	}
	s.reason = fmt.Sprintf("process %d was killed %v ago and is not gone: it is in state %s of proc(5)", pid, stuckAfter, state)
	e.trouble(s, "%s", s.reason)
}

// kill signals the main process.
func (e *Engine) kill(s *service, sig syscall.Signal) {
	reason := signalName(sig)
	err := e.procs.Signal(&s.Unit, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		reason = fmt.Sprintf("%s: %v", reason, err)
	}
	s.killed = s.killed || sig == syscall.SIGKILL
	e.tell(s, control.EventSignal, "%s", reason)
	e.refuse(s, s.PID(), err)
	if sig != syscall.SIGKILL {
		// A stopped process takes no signal but KILL before it is continued. That it is gone or
		// not ours was noticed with the signal itself.
		_ = e.procs.Signal(&s.Unit, syscall.SIGCONT)
	}
}

// shutdown ends everything, in order. What was wanted stays wanted, for the next supervisor.
func (e *Engine) shutdown() {
	e.closing = true
	var all []*service
	for _, s := range e.sorted() {
		if (s.state != Stopped || s.rolling.replacement != nil) && !s.unproven {
			all = append(all, s)
		}
	}
	e.unwant(all, "the supervisor is shutting down", orderEnd)
	for _, s := range all {
		if s.killed || s.Killing {
			e.leaveBehind(s)
		}
	}
}

func (e *Engine) setHolding(s *service, hold bool) {
	if s.holding == hold {
		return
	}
	if s.holding = hold; hold {
		e.holding++
	} else {
		e.holding--
	}
}
