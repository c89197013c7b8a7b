package supervise

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// leftovers are the processes of a service that outlive its main process. When that ends, they
// become children of the engine's process, if they are not already, because that is their
// subreaper.
type leftovers struct {
	adopted  map[int]struct{} // children of ours now
	expected map[int]uint64   // descendants when the stop began, with their start times
	reached  map[int]int      // the last step of the schedule that each has had its signal of
}

func (l *leftovers) reach(pid, step int) {
	if l.reached == nil {
		l.reached = map[int]int{}
	}
	l.reached[pid] = step
}

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
	if s.inherited {
		e.enter(s, Stopping, s.reason)
		e.surveyFor(s, func() { e.sweepFound(s) })
		return
	}
	e.sweepFound(s)
}

// surveyFor runs then after a survey, if s still waits for what it may have left behind.
func (e *Engine) surveyFor(s *service, then func()) {
	run := s.run
	e.survey(func() {
		if s.run == run && s.isSwept() {
			then()
		}
	})
}

func (e *Engine) sweepFound(s *service) {
	found := e.lookForLeftovers(s)
	if found && e.nothingLeft(s) && !e.waitsForKin(s) {
		e.sweptClean(s, (*Engine).decide)
		return
	}
	why := s.reason
	if n := len(e.leftBehind(s)); n > 0 {
		left := countOf(n, "process", "processes")
		if s.state != Stopping {
			why = left + " left behind"
		}
		s.putItselfAway(left)
	}
	e.enter(s, Stopping, why)
	for c := range s.commands {
		if !c.finishes {
			e.killCommand(c)
		}
	}
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
	case s.killing:
		e.sweepHard(s)
	case s.killed:
		if e.killLeftovers(s, 1, e.stepSignal(s, s.spec.Stop[0])) == 0 {
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
	if s.killing || s.step >= len(s.spec.Stop) {
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
	if s.killing || s.killed || s.step < 1 || s.step > len(s.spec.Stop) {
		return
	}
	e.killLeftovers(s, s.step, e.stepSignal(s, s.spec.Stop[s.step-1]))
	for _, member := range e.leftBehind(s) {
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
	return s.state == Stopping && s.pid == 0 && !s.draining && !s.spawning
}

// startKilling has also what is found from here on killed.
func (s *service) startKilling() {
	if !s.killing {
		s.killing, s.killedAt = true, time.Now()
	}
}

// sweepHard kills what is left, until nothing is.
func (e *Engine) sweepHard(s *service) {
	if s.state != Stopping || s.pid != 0 {
		return
	}
	s.startKilling()
	e.killLeftovers(s, len(s.spec.Stop)+1, syscall.SIGKILL)
	if e.isSweptClean(s) {
		return
	}
	period := sweepPeriod
	if since := time.Since(s.killedAt); since > stuckAfter {
		period = stuckAfter / 10 // no use in haste
		for pid := range e.leftBehind(s) {
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
	if s.inherited {
		e.surveyFor(s, func() { e.finishSweep(s) })
		return false
	}
	return e.finishSweep(s)
}

func (e *Engine) finishSweep(s *service) bool {
	if !e.lookForLeftovers(s) || !e.nothingLeft(s) || e.waitsForKin(s) {
		e.tellRest(s) // also those that were found now
		return false
	}
	e.sweptClean(s, func(e *Engine, s *service, _ cause) { e.happen(s, hGone, cause{text: "gone"}) })
	return true
}

func (e *Engine) sweptClean(s *service, then reaction) {
	s.stop(timerStop)
	s.stop(timerSweep)
	if e.bySession[s.session] == s { // else the number has been given to another one's since
		delete(e.bySession, s.session)
	}
	delete(e.byInvocation, s.invoked)
	if e.byOutput[s.output] == s { // else another process of the service has it
		delete(e.byOutput, s.output)
	}
	for pid := range s.left.expected {
		if e.expected[pid] == s {
			delete(e.expected, pid)
		}
	}
	if err := s.group.Remove(); err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("remove control group: %v", err)})
	}
	s.left, s.session, s.group = leftovers{}, 0, nil
	then(e, s, cause{})
}

// lookForLeftovers adopts, and says whether it could look.
func (e *Engine) lookForLeftovers(s *service) bool {
	err := e.adopt()
	if err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("look for processes left behind: %v", err)})
	}
	return err == nil
}

// killLeftovers signals what is left behind and has not had the signal of this step, and returns
// how many that are. SIGKILL may be sent any number of times.
func (e *Engine) killLeftovers(s *service, step int, sig syscall.Signal) int {
	n := 0
	for pid, member := range e.leftBehind(s) {
		if sig != syscall.SIGKILL && s.left.reached[pid] >= step {
			continue
		}
		s.left.reach(pid, step)
		signal := e.signalOwn
		if member {
			signal = s.group.Signal
		}
		if err := signal(pid, sig); err != nil {
			e.refuse(s, pid, err)
			continue
		}
		n++
		if sig != syscall.SIGKILL {
			_ = signal(pid, syscall.SIGCONT) // see kill
		}
	}
	if sig == syscall.SIGKILL {
		e.killGroup(s)
	}
	if n > 0 && (sig != syscall.SIGKILL || !s.told) {
		s.told = sig == syscall.SIGKILL
		e.emit(s, Event{Kind: EventStray, Reason: fmt.Sprintf("%s to %s left behind", signalName(sig), countOf(n, "process", "processes"))})
	}
	return n
}

// orphanDied takes note that an adopted process has ended.
func (e *Engine) orphanDied(pid int) {
	s := e.orphans[pid]
	e.disown(pid)
	if s != nil {
		s.refused = "" // if it was another one, that is seen again
	}
	switch {
	case s == nil || !s.isSwept():
	case len(s.left.adopted) == 0:
		e.isSweptClean(s) // its own children have become ours at this moment
	default:
		e.lookLater(s, sweepPeriod) // so have they, and are to be told
	}
}

// own makes an adopted process one of s, nil for nobody.
func (e *Engine) own(pid int, s *service) {
	e.orphans[pid] = s
	if s == nil {
		return
	}
	if s.left.adopted == nil {
		s.left.adopted = map[int]struct{}{}
	}
	s.left.adopted[pid] = struct{}{}
	if s.killing {
		_ = e.signalOwn(pid, syscall.SIGKILL) // it is looked at again before s is called gone
	}
}

func (e *Engine) disown(pid int) {
	if s := e.orphans[pid]; s != nil {
		delete(s.left.adopted, pid)
		delete(s.left.reached, pid)
	}
	delete(e.orphans, pid)
}

// adopt looks for children of ours that we did not start: descendants of services whose parents
// have ended. It costs one look at a list that the kernel keeps, not one at every process.
func (e *Engine) adopt() error {
	children, err := e.kernel.children()
	if err != nil {
		return err
	}
	for _, pid := range children {
		if e.byPID[pid] != nil || e.commands[pid] != nil || e.programs[pid] != nil {
			continue
		}
		if _, known := e.orphans[pid]; known {
			continue
		}
		s, err := e.attribute(pid)
		switch {
		case errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrNotExist):
			// It is dead, and about to be reaped.
		case err != nil:
			return err
		case s == nil && e.births.underWay > 0, s != nil && s.spawning:
			// Perhaps one that is just being started: asked again next time.
		default:
			e.own(pid, s)
		}
	}
	return nil
}

// attribute says which service an adopted process belongs to: by having been its descendant when
// the stop began, by its session, which the service's main process leads or led, by the invocation
// id in the environment it was started with, or by printing into the service's log. What has rid
// itself of all of that and whose parents are gone can be known by a control group only.
func (e *Engine) attribute(pid int) (*service, error) {
	stat, err := e.kernel.stat(pid)
	if err != nil {
		return nil, err
	}
	if s, err := e.groupOwner(pid); s != nil || err != nil {
		return s, err
	}
	if s := e.expected[pid]; s != nil && s.left.expected[pid] == stat.StartTime {
		return s, nil
	}
	if s := e.bySession[stat.Session]; s != nil {
		return s, nil
	}
	id, err := e.kernel.invocation(pid)
	if errors.Is(err, os.ErrPermission) {
		return nil, nil // it has changed its user, and we are not root
	}
	if err != nil {
		return nil, err
	}
	if s := e.byInvocation[id]; s != nil {
		return s, nil
	}
	for _, output := range e.kernel.outputs(pid) {
		if s := e.byOutput[output]; s != nil {
			return s, nil
		}
	}
	return nil, nil
}

// expectLeftovers remembers the descendants of the main process while the links between them stand.
func (e *Engine) expectLeftovers(s *service) {
	list := e.kernel.descendants(s.pid)
	if !e.lives(s.pid) {
		return // it was not our child, and whose descendants those are is not known
	}
	for _, stat := range list {
		e.expect(s, stat.PID, stat.StartTime)
	}
}

func (e *Engine) expect(s *service, pid int, start uint64) {
	if s.left.expected == nil {
		s.left.expected = map[int]uint64{}
	}
	s.left.expected[pid] = start
	e.expected[pid] = s
}
