package lifecycle

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// end is what not being wanted any more leads to, from a state with a process.
func (s *Service) end(why cause) { s.beginStop(why.text) }

// endForRestart is the first half of a restart.
func (s *Service) endForRestart(why cause) {
	s.again = true
	s.beginStop(why.text)
}

// comeBack is being wanted while it is being ended: it is started anew after that.
func (s *Service) comeBack(_ cause) { s.again, s.Wanted = true, true }

// stayDown is not being wanted while it is being ended. What it waits for may have gone in a way
// that told nobody: whoever asks once more frees it.
func (s *Service) stayDown(_ cause) {
	s.again = false
	s.Release()
}

// beginStop starts to end s. If services that depend on it are being ended
// too, they go first.
func (s *Service) beginStop(why string) {
	s.quiet()
	s.step, s.saidStopping = 0, false
	if s.Spawning() && s.giveUp != nil {
		s.giveUp(errNotWanted)
	}
	s.enter(Stopping, why)
	if s.owner.MustHold() {
		s.setHolding(true)
		return
	}
	s.runStop()
}

// Release ends a service whose turn has come.
func (s *Service) Release() {
	if !s.holding || s.state != Stopping || s.owner.MustHold() {
		return
	}
	s.setHolding(false)
	s.runStop()
}

// runStop runs the stop command, if there is one, and then the schedule of signals.
func (s *Service) runStop() {
	switch {
	case s.Spawning() || s.draining:
		return // nextStep, spawnFailed or exited goes on from here
	case s.PID() == 0:
		s.sweep() // a oneshot that remains has no process
		return
	case len(s.spec.StopCommand) == 0:
		s.nextStep(cause{})
		return
	}
	limit := time.Duration(*s.spec.StopTimeout)
	run := s.run
	c := s.command(s.spec.StopCommand, limit, func(err error) {
		if err != nil {
			s.trouble("stop command: %v", err)
		}
		switch {
		case s.run != run || s.state != Stopping || s.PID() == 0 || s.draining:
		case err == nil && s.saidStopping: // what the command began may take its time as well
			s.after(timerStop, limit, func() { s.happen(hStepOver, cause{}) })
		default:
			s.nextStep(cause{})
		}
	})
	c.Finishes = true
}

// nextStep sends the next signal of the schedule, KILL after the last: to the main process, or,
// when that has gone, to what it has left behind. The schedule is one for all of the service.
func (s *Service) nextStep(_ cause) {
	switch {
	case s.Spawning() || s.draining:
		return // endRest goes on from here
	case s.PID() == 0:
		s.nextStepOfRest()
		return
	case s.holding:
		return
	}
	if s.step == 0 {
		s.shared.Procs.Remember(&s.Unit)
	}
	if s.step >= len(s.spec.Stop) {
		s.kill(syscall.SIGKILL)
		s.after(timerStop, stuckAfter, func() { s.tellStuck(s.PID()) })
		return
	}
	sig, wait := s.takeStep()
	if s.spec.StopTo == spec.StopAll {
		s.sayLeft(s.shared.Procs.SignalRest(&s.Unit, s.step, sig), sig)
	}
	s.kill(sig)
	s.after(timerStop, wait, func() { s.happen(hStepOver, cause{}) })
}

// takeStep goes on to the next step of the schedule, which there must be.
func (s *Service) takeStep() (sig syscall.Signal, wait time.Duration) {
	step := s.spec.Stop[s.step]
	s.step++
	return s.stepSignal(step), time.Duration(step.Wait)
}

func (s *Service) stepSignal(step spec.StopStep) syscall.Signal {
	sig, err := step.Signal.Number()
	if err != nil { // a signal that this system does not have: validated, but elsewhere
		s.trouble("%v", err)
		return syscall.SIGKILL
	}
	return sig
}

// Hurry is the end of patience with a service that is being ended: KILL, to all of it, now.
func (s *Service) Hurry() {
	s.setHolding(false)
	s.step = len(s.spec.Stop)
	s.startKilling()
	s.shared.Procs.EndCommands(&s.Unit, true)
	switch {
	case s.Spawning() || s.draining: // nextStep, or exited, goes on from here
	case s.PID() == 0:
		s.sweepHard()
	default:
		s.nextStep(cause{})
	}
}

// stuckAfter is how long what was killed may take to be gone before it is told of.
const stuckAfter = 5 * time.Second

// tellStuck tells that a process was killed and is not gone: it sleeps in the kernel and cannot be
// interrupted, most often because a disk or a network file system does not answer. Its service
// stays where it is until the process has gone, which is noticed like any death: another one must
// not run beside it.
func (s *Service) tellStuck(pid int) {
	if s.state != Stopping || pid == 0 || s.refused != "" {
		return
	}
	state := "?"
	if stat, err := s.shared.Kernel.Stat(pid); err == nil && stat.State != 0 {
		state = string(stat.State)
	}
	s.reason = fmt.Sprintf(
		"process %d was killed %v ago and is not gone: it is in state %s of proc(5)", pid,
		stuckAfter, state,
	)
	s.trouble("%s", s.reason)
}

// kill signals the main process.
func (s *Service) kill(sig syscall.Signal) {
	reason := signalName(sig)
	err := s.shared.Procs.Signal(&s.Unit, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		reason = fmt.Sprintf("%s: %v", reason, err)
	}
	s.killed = s.killed || sig == syscall.SIGKILL
	s.Tell(control.EventSignal, "%s", reason)
	s.refuse(s.PID(), err)
	if sig != syscall.SIGKILL {
		// A stopped process takes no signal but KILL before it is continued. That it is gone or
		// not ours was noticed with the signal itself.
		_ = s.shared.Procs.Signal(&s.Unit, syscall.SIGCONT)
	}
}

// setHolding has the stop wait for those that need s, or not any more.
func (s *Service) setHolding(hold bool) {
	if s.holding == hold {
		return
	}
	if s.holding = hold; hold {
		s.shared.holding++
	} else {
		s.shared.holding--
	}
}
