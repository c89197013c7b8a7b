package supervise

import (
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/logs"
	"github.com/daemonry/daemonry/spec"
)

// service is one service at run time. The owner alone touches it.
type service struct {
	spec   spec.Service // with defaults
	source string       // the file it came from, "" for the command line
	seq    int          // order of arrival

	state  State
	since  time.Time
	wanted bool
	held   bool // stopped by hand: neither up nor a boot starts it
	reason string
	text   string // STATUS=

	pid       int
	nextMain  int // announced by MAINPID=, to be the main process when this one ends
	session   int // that the last main process led
	startedAt time.Time
	exit      *Exit
	restarts  int
	crashes   int         // in a row, for the backoff
	window    []time.Time // restarts within the budget's window
	next      time.Time
	invoked   string // INVOCATION_ID of the running process, by which escaped descendants are known

	failure  string // why it is being stopped although wanted; "" if it was asked for
	again    bool   // start anew once stopped, without delay
	rewound  bool   // ready was lost by RELOADING=1 and is to come back
	step     int    // of the stop schedule
	holding  bool   // the stop waits for services that need this one
	draining bool   // the process is dead, its last output not yet on disk
	orphans  int    // processes it left behind that are ours now
	removed  bool   // to be forgotten when stopped

	timers  [numTimers]*time.Timer
	stream  *logs.Stream
	cancel  func() // ends the probe under way
	waiters []*waiter
}

// timer is what a service may wait for.
type timer uint8

const (
	timerDelay    timer = iota // before the next start
	timerReady                 // time-out of readiness, or the end of settling
	timerSettle                // "settle" is over
	timerStop                  // the next step of a stop
	timerWatchdog              // the next WATCHDOG=1 is overdue
	timerLive                  // the next liveness check
	numTimers
)

// after has f run by the owner in d, unless the timer is set again or stopped before.
func (e *Engine) after(s *service, t timer, d time.Duration, f func()) {
	s.stop(t)
	var self *time.Timer
	set := make(chan struct{})
	self = time.AfterFunc(d, func() {
		<-set
		e.post(func() {
			if s.timers[t] == self {
				s.timers[t] = nil
				f()
			}
		})
	})
	s.timers[t] = self
	close(set)
}

func (s *service) stop(t timer) {
	if s.timers[t] != nil {
		s.timers[t].Stop()
		s.timers[t] = nil
	}
}

// quiet ends all waiting for the process that ran.
func (s *service) quiet() {
	for t := range numTimers {
		s.stop(t)
	}
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
}

// enter changes the state, says so, and wakes who waits for it: those who asked, and the
// services that depend on it.
func (e *Engine) enter(s *service, state State, reason string) {
	from := s.state
	s.state, s.reason = state, reason
	if from == state {
		return
	}
	s.since = time.Now()
	if state == Waiting {
		e.pending[s] = struct{}{}
	} else {
		delete(e.pending, s)
	}
	if state != Stopping {
		delete(e.stopping, s)
	}
	e.emit(s, Event{Kind: EventState, From: from, Reason: reason})
	s.wake()
	e.dependents(s)
	if s.removed && state == Stopped {
		e.forget(s)
	}
	e.checkIdle()
}

// begin is what being wanted leads to, from any state without a process. Whoever asks
// for it gives the service a fresh start: earlier crashes do not count any more.
func (e *Engine) begin(s *service, _ cause) {
	s.stop(timerDelay)
	s.crashes, s.window, s.next = 0, nil, time.Time{}
	e.wait(s)
}

// again is the start after a delay.
func (e *Engine) again(s *service, _ cause) {
	s.next = time.Time{}
	if s.state == Failed {
		s.crashes, s.window = 0, nil
	}
	e.wait(s)
}

// wait starts s, or says what it waits for.
func (e *Engine) wait(s *service) {
	blocker := e.blocker(s)
	if blocker == "" {
		e.launch(s, cause{})
		return
	}
	e.enter(s, Waiting, blocker)
	s.reason = blocker
	s.wake()
}

// rest is the end of wanting, from any state without a process.
func (e *Engine) rest(s *service, why cause) {
	s.stop(timerDelay)
	s.next = time.Time{}
	e.enter(s, Stopped, why.text)
}

// becomeReady is the end of a successful start.
func (e *Engine) becomeReady(s *service, why cause) {
	s.stop(timerReady)
	s.stop(timerSettle)
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
	e.enter(s, Ready, why.text)
	e.watchLiveness(s)
}

// readyAgain is READY=1 after RELOADING=1.
func (e *Engine) readyAgain(s *service, _ cause) {
	if !s.rewound {
		return
	}
	s.rewound = false
	e.emit(s, Event{Kind: EventReload, Reason: "reloaded"})
	s.wake()
}

// giveUpStart ends a process that did not become ready.
func (e *Engine) giveUpStart(s *service, why cause) { e.condemn(s, why) }

// condemn ends a process for its own good: it is to run, but not like this.
func (e *Engine) condemn(s *service, why cause) {
	s.failure = why.text
	e.beginStop(s, why.text)
}

// exited deals with the end of the main process.
func (e *Engine) exited(s *service, why cause) {
	ready := s.state == Ready
	s.quiet()
	x := why.exit.exit()
	x.Words = e.lastWords(s)
	s.exit = x
	e.emit(s, Event{Kind: EventExit, Exit: x, PID: s.pid, Reason: x.String()})
	s.pid = 0
	if s.state != Stopping && s.failure == "" && !e.succeeded(s, x) {
		s.failure = failedText(x, ready)
	}
	if s.state != Stopping && s.spec.Type != spec.Oneshot && s.failure == "" && !ready {
		s.failure = failedText(x, false) // a success that came before it was up is none
	}
	e.sweep(s)
}

// succeeded says whether an exit is no failure.
func (e *Engine) succeeded(s *service, x *Exit) bool {
	if x.Signal != 0 {
		return s.spec.Success.HasSignal(spec.SignalOf(x.Signal))
	}
	return x.Code == 0 || s.spec.Success.HasCode(x.Code)
}

// decide is what follows when nothing is left of a process: the restart policy.
func (e *Engine) decide(s *service, _ cause) {
	s.quiet()
	failure, again := s.failure, s.again
	s.failure, s.again, s.holding, s.rewound, s.invoked = "", false, false, false, ""
	switch {
	case s.removed || !s.wanted:
		e.enter(s, Stopped, stoppedText(s, failure))
	case e.closing:
		e.enter(s, Stopped, "the supervisor is shutting down")
	case again:
		s.crashes = 0
		e.wait(s)
	case failure == "" && s.spec.Type == spec.Oneshot:
		e.completed(s)
	case failure == "" && s.spec.Restart != spec.RestartAlways:
		s.wanted = false
		e.enter(s, Stopped, s.exit.String())
	case failure != "" && s.spec.Restart == spec.RestartNo:
		e.fail(s, failure)
	default:
		if failure == "" {
			failure = s.exit.String()
		}
		e.retry(s, failure)
	}
}

func stoppedText(s *service, failure string) string {
	if failure != "" {
		return failure
	}
	if s.exit != nil && s.exit.Signal != 0 {
		return "stopped"
	}
	if s.exit != nil {
		return fmt.Sprintf("stopped, %v", s.exit)
	}
	return "stopped"
}

// completed is the success of a oneshot.
func (e *Engine) completed(s *service) {
	if s.spec.Remain {
		e.enter(s, Ready, "completed")
		return
	}
	s.wanted = false
	e.enter(s, Stopped, completedText)
}

// completedText marks a oneshot that has done its work, on which others may depend.
const completedText = "completed"

// retry starts s again, after the delay that its crashes have earned, or gives up.
func (e *Engine) retry(s *service, failure string) {
	now := time.Now()
	budget, backoff := s.spec.Budget, s.spec.Backoff
	span := time.Duration(*budget.Window)
	if now.Sub(s.startedAt) >= span {
		s.crashes = 0 // a long healthy run: what was before it is forgotten
	}
	kept := s.window[:0]
	for _, t := range s.window {
		if now.Sub(t) < span {
			kept = append(kept, t)
		}
	}
	s.window = kept
	if most := *budget.Restarts; most >= 0 && len(s.window) >= most {
		e.fail(s, exhaustedText(failure, len(s.window), *budget.Window))
		return
	}
	s.window = append(s.window, now)
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

func exhaustedText(failure string, n int, window spec.Duration) string {
	if n == 0 {
		return failure
	}
	return fmt.Sprintf("%s; restarted %d times in %v, no more", failure, n, window)
}

// fail gives up, perhaps for a while.
func (e *Engine) fail(s *service, why string) {
	e.enter(s, Failed, why)
	if every := time.Duration(s.spec.Budget.Retry); every > 0 {
		s.next = time.Now().Add(every)
		e.after(s, timerDelay, every, func() { e.happen(s, hDelayOver, cause{}) })
	}
}

// lastWords are the last lines that s printed, which are on disk by now.
func (e *Engine) lastWords(s *service) []string {
	if s.stream == nil {
		return nil
	}
	words, err := s.stream.Tail(10)
	if err != nil {
		return nil // the log engine has reported its trouble itself
	}
	return words
}
