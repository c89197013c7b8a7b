package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Ending says that the main process has ended, and that Died will say how.
func (s *Service) Ending() { s.draining = true }

// Died makes sure that the last output is on disk before anybody hears of the death.
func (s *Service) Died(status children.Exit) {
	s.draining = true
	stream := s.stream
	if stream == nil {
		s.drained(status, nil, nil)
		return
	}
	adopted := s.Adopted()
	s.shared.Loop.Work(func() func() {
		ctx, cancel := context.WithTimeoutCause(context.Background(), drainTime, errDrainTime)
		defer cancel()
		last, err := sys.Within(ctx, "write the last output",
			func() (lastOutput, error) { return drain(stream) }, nil)
		return func() {
			words := last.words
			// of a run that another engine has seen the beginning of, all may be its own
			if !adopted {
				words = tailWithin(words, last.bytes-s.printed)
			}
			if _, stuck := errors.AsType[*sys.StuckError](err); !stuck {
				s.printed = last.bytes
			}
			s.drained(status, shortened(words), err)
		}
	})
}

// drainTime is how long the end of a service waits for its log: a file system that does not answer
// may hold that up.
const drainTime = 10 * time.Second

var errDrainTime = fmt.Errorf("not within %v", drainTime)

// lastOutput are the last words in a log, and how much there is in all.
type lastOutput struct {
	words []string
	bytes int64
}

// drain waits until all that was printed is on disk.
func drain(stream *logs.Stream) (last lastOutput, err error) {
	err = stream.Drain()
	words, tailErr := stream.Tail(lastWords)
	stats, statsErr := stream.Stats()
	if err == nil {
		err = errors.Join(tailErr, statsErr)
	}
	return lastOutput{words, stats.Bytes}, err
}

// tailWithin leaves of the last lines of a log those that are among the last n bytes: what came
// before is an earlier run's.
func tailWithin(lines []string, n int64) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if n -= int64(len(lines[i])); n < 0 {
			return lines[i+1:]
		}
		n-- // the newline
	}
	return lines
}

// lastWords is how many of the last lines an exit tells, and wordsMost how many bytes of each: they
// are in a thousand events, in the status and in the journal.
const (
	lastWords = 10
	wordsMost = 1024
)

// shortened leaves of each line as much as is kept.
func shortened(lines []string) []string {
	for i, l := range lines {
		if len(l) > wordsMost {
			lines[i] = strings.ToValidUTF8(l[:wordsMost], "") + "…"
		}
	}
	return lines
}

func (s *Service) drained(status children.Exit, words []string, err error) {
	if err != nil {
		s.Tell(control.EventLog, "%v", err)
	}
	s.draining = false
	x := exitOf(status)
	x.Words = words
	s.happen(hExited, cause{exit: x, text: "exited"})
}

// exited deals with the end of the main process.
func (s *Service) exited(why cause) {
	ready := s.state == Ready
	s.quietBut(timerStop) // the step under way goes on, for what is left behind
	x := why.exit
	x.OOM = !s.killed && s.shared.ranOutOfMemory(s.Group(), s.state, x)
	if x.OOM {
		x.Text += outOfMemory
	}
	s.exit = x
	if s.failure == "" {
		s.cause = nil
	}
	s.emit(control.Event{Kind: control.EventExit, Exit: x, PID: s.PID(), Reason: x.Text})
	s.Gone()
	s.refused = ""
	// A success before it was up is none, unless ending is what it is for.
	oneshot := s.spec.Type == spec.Oneshot
	early := !ready && !oneshot
	s.endsWell = s.state != Stopping && !oneshot && !x.Unknown && x.Signal == "" && x.Code == 0
	if s.state != Stopping && (early || !s.succeeded(x)) {
		s.failure = failedText(x, ready)
	}
	s.sweep()
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
func (s *Service) sweep() {
	if s.Adopted() {
		s.enter(Stopping, s.whyEnding())
		s.surveyFor(func() { s.sweepFound() })
		return
	}
	s.sweepFound()
}

// surveyFor runs then after a survey, if s still waits for what it may have left behind.
func (s *Service) surveyFor(then func()) {
	run := s.run
	s.shared.Procs.Survey(func() {
		if s.run == run && s.isSwept() {
			then()
		}
	})
}

func (s *Service) sweepFound() {
	found := s.shared.Procs.Look(&s.Unit)
	if found && s.shared.Procs.Empty(&s.Unit) && !s.owner.AwaitsOthers() {
		s.sweptClean()
		return
	}
	why := s.whyEnding()
	if n := len(s.shared.Procs.Left(&s.Unit)); n > 0 {
		left := countOf(n, "process", "processes")
		if s.state != Stopping {
			why = left + " left behind"
		}
		s.putItselfAway(left)
	}
	s.enter(Stopping, why)
	s.shared.Procs.EndCommands(&s.Unit, false)
	s.endRest()
}

// whyEnding is why s is being ended: unless somebody has asked for that, because its main process
// has.
func (s *Service) whyEnding() string {
	if s.state == Stopping || s.exit == nil {
		return s.reason
	}
	return s.exit.Text
}

// putItselfAway notes what most often is the reason when a main process ends well and leaves
// others.
func (s *Service) putItselfAway(left string) {
	if !s.endsWell || s.forked != "" {
		return
	}
	s.forked = ", and left " + left + " behind: it puts itself into the background, and must be " +
		"told not to (an option such as --foreground or --no-daemon)"
	if s.failure != "" {
		s.failure += s.forked
	}
}

// endRest ends what the main process has left behind in the way in which the service is ended: with
// the signal of the step that is under way, for the rest of its time, and with the steps after it.
// After a crash the schedule begins.
func (s *Service) endRest() {
	switch {
	case s.Killing:
		s.sweepHard()
	case s.killed:
		if s.signalLeft(1, s.stepSignal(s.spec.Stop[0])) == 0 {
			s.sweepHard()
			return
		}
		s.after(timerStop, orphanGrace, func() { s.sweepHard() })
	case s.step == 0 || !s.timers[timerStop].Set():
		// of the latter the time was over while its last output was saved
		s.nextStep(cause{})
	default:
		s.tellRest()
	}
}

// nextStepOfRest sends what is left behind the next signal of the schedule.
func (s *Service) nextStepOfRest() {
	if s.Killing || s.step >= len(s.spec.Stop) {
		s.sweepHard()
		return
	}
	_, wait := s.takeStep()
	s.after(timerStop, wait, func() { s.happen(hStepOver, cause{}) })
	s.tellRest()
}

// tellRest sends what is left behind the signal of the step that is under way, unless it has had
// it. Whoever is found later is told later.
func (s *Service) tellRest() {
	if s.Killing || s.killed || s.step < 1 || s.step > len(s.spec.Stop) {
		return
	}
	s.signalLeft(s.step, s.stepSignal(s.spec.Stop[s.step-1]))
	for _, member := range s.shared.Procs.Left(&s.Unit) {
		if member {
			s.lookLater(memberPeriod)
			break
		}
	}
}

// lookLater looks again in d whether anything is left of s.
func (s *Service) lookLater(d time.Duration) {
	if s.timers[timerSweep].Set() {
		return
	}
	s.after(timerSweep, d, func() {
		if s.isSwept() {
			s.isSweptClean()
		}
	})
}

// isSwept says whether s is waiting for what its main process has left behind.
func (s *Service) isSwept() bool {
	return s.state == Stopping && s.PID() == 0 && !s.draining && !s.Spawning()
}

// startKilling has also what is found from here on killed.
func (s *Service) startKilling() {
	if !s.Killing {
		s.Killing, s.killedAt, s.saidStuck = true, time.Now(), false
	}
}

// sweepHard kills what is left, until nothing is.
func (s *Service) sweepHard() {
	if s.state != Stopping || s.PID() != 0 {
		return
	}
	s.startKilling()
	s.signalLeft(len(s.spec.Stop)+1, syscall.SIGKILL)
	if s.isSweptClean() {
		return
	}
	period := sweepPeriod
	if time.Since(s.killedAt) > stuckAfter {
		period = stuckAfter / 10 // no use in haste
		for pid := range s.shared.Procs.Left(&s.Unit) {
			if !s.saidStuck {
				s.saidStuck = true
				s.tellStuck(pid)
			}
			break
		}
	}
	s.after(timerStop, period, func() { s.sweepHard() })
}

// isSweptClean looks again and goes on with s if nothing of it is left.
func (s *Service) isSweptClean() bool {
	if s.Adopted() {
		s.surveyFor(func() { s.finishSweep() })
		return false
	}
	return s.finishSweep()
}

func (s *Service) finishSweep() bool {
	if !s.shared.Procs.Look(&s.Unit) || !s.shared.Procs.Empty(&s.Unit) || s.owner.AwaitsOthers() {
		s.tellRest() // also those that were found now
		return false
	}
	s.sweptClean()
	return true
}

// sweptClean goes on with a service of which nothing is left.
func (s *Service) sweptClean() {
	if err := s.shared.Procs.Forget(&s.Unit); err != nil {
		s.trouble("remove control group: %v", err)
	}
	if s.state == Stopping {
		s.happen(hGone, cause{text: "gone"})
		return
	}
	s.decide(cause{})
}

// decide is what follows when nothing is left of a process: the restart policy.
func (s *Service) decide(_ cause) {
	s.quiet()
	failure, again := s.failure, s.again
	s.setHolding(false)
	s.failure, s.again, s.rewound, s.Killing, s.told = "", false, false, false, false
	s.shared.Procs.Renounce(&s.Unit)
	if s.owner.Role() != Main {
		s.enter(Stopped, s.stoppedText(failure))
		s.owner.Over(failure)
		return
	}
	switch {
	case !s.Wanted:
		s.enter(Stopped, s.stoppedText(failure))
	case s.shared.Closing:
		s.enter(Stopped, "the supervisor is shutting down")
	case again:
		s.crashes = 0
		s.wait()
	case failure == "" && s.spec.OnDemand && s.spec.Type != spec.Oneshot:
		s.listenAgain()
	case failure == "" && s.spec.Type == spec.Oneshot:
		s.finishOneshot()
	case failure == "" && s.spec.Restart != spec.RestartAlways:
		s.Wanted = false
		s.owner.WantedChanged()
		s.enter(Stopped, s.exit.Text+s.forked)
	case failure != "" && s.spec.Restart == spec.RestartNo:
		s.fail(failure)
	default:
		if failure == "" {
			failure = s.exit.Text
		}
		s.retry(failure)
	}
}

func (s *Service) stoppedText(failure string) string {
	switch {
	case failure != "":
		return failure
	case s.exit == nil || s.exit.Signal != "":
		return "stopped"
	}
	return "stopped, " + s.exit.Text
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// signalLeft signals what is left behind and has not had the signal of this step, and returns how
// many that are.
func (s *Service) signalLeft(step int, sig syscall.Signal) int {
	n := s.shared.Procs.SignalLeft(&s.Unit, step, sig)
	s.sayLeft(n, sig)
	return n
}

// sayLeft says that n processes left behind were signalled; with SIGKILL once, for it is sent again
// and again.
func (s *Service) sayLeft(n int, sig syscall.Signal) {
	if n > 0 && (sig != syscall.SIGKILL || !s.told) {
		s.told = sig == syscall.SIGKILL
		s.Tell(control.EventStray, "%s to %s left behind",
			signalName(sig), countOf(n, "process", "processes"))
	}
}

// LeftoverDied takes note that a process left behind has ended.
func (s *Service) LeftoverDied() {
	s.refused = "" // if it was another one, that is seen again
	switch {
	case !s.isSwept():
	case !s.HasLeftovers():
		s.isSweptClean() // its own children have become ours at this moment
	default:
		s.lookLater(sweepPeriod) // so have they, and are to be told
	}
}

// Refused tells that a process could not be signalled.
func (s *Service) Refused(pid int, err error) { s.refuse(pid, err) }
