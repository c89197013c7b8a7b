package supervise

import (
	"context"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// service is one service at run time. The owner alone touches it.
type service struct {
	engine *Engine
	description
	standing
	children.Unit // the process that runs or is being started, and all that has come of it
	attempt
	wayUp
	wayDown
	onDemand
	rolling rolling
	past

	run     uint64 // counts starts, to tell an answer about an earlier one
	timers  [numTimers]loop.Alarm
	stream  *logs.Stream
	cancel  context.CancelCauseFunc // ends the probe under way
	waiters []*waiter
}

// description is what a service is to be.
type description struct {
	spec      spec.Service // with defaults; replaced as a whole, never changed in place
	source    string       // the file it came from, "" for the command line
	environ   *environment // of the command that described it; nil: ours
	described uint64       // when the description became what it is, as the state files count
}

// standing is where a service stands.
type standing struct {
	state     control.State // set sets it
	since     time.Time
	wanted    bool
	held      bool // stopped by hand: neither up nor a boot starts it
	removed   bool // to be forgotten when stopped
	completed bool // of a oneshot: the last run did its work
	// unproven: failed, because a process of it that an earlier supervisor started may live, and was
	// not found. Only by its name is it started.
	unproven bool
	reason   string
	text     string // STATUS=
	logError string // why its log cannot be written
}

// attempt is one start, and the run that comes of it.
type attempt struct {
	opening   bool             // its sockets are being opened, in place of a start
	giveUp    func(error)      // while it starts: does not wait any more for what a file system owes it; nil before the first
	signals   []syscall.Signal // for it as soon as the pid is known
	limits    spec.Limits      // that hold in its control group
	startedAt time.Time
	watchdog  spec.Duration
	draining  bool // the process is dead, its last output not yet on disk
	killed    bool // we sent it SIGKILL
}

// wayUp is what is known until a service is ready, and while it reloads.
type wayUp struct {
	obstacle   obstacle        // while it waits: why what it waits for does not come about
	rechecking bool            // whether it still has to wait is about to be looked at
	stuck      <-chan struct{} // what the last start waited for in vain, closed when it has come; nil: nothing
	extended   bool            // the time allowed until ready was
	lastAnswer error           // of the last run of a readiness command
	rewound    bool            // ready was lost by RELOADING=1 and is to come back
	saidReady  uint64          // the run that said READY=1 before it had come to rest
	// follows were removed by the request that added this one, and are most likely the same under an
	// old name: it starts when they have gone.
	follows  []*service
	followed []*service // of one that is being removed: the services that wait for it so
}

// wayDown is what is known of a service that is being ended.
type wayDown struct {
	failure      string    // why it is being stopped although wanted; "" if it was asked for
	saidStopping bool      // STOPPING=1, since the stop began
	endsWell     bool      // its main process has ended with success, without having been asked to
	forked       string    // what is to be said of one that did, and has left processes behind
	again        bool      // start anew once stopped, without delay
	step         int       // of the stop schedule
	holding      bool      // the stop waits for services that need this one
	killedAt     time.Time // when killing began
	told         bool      // that what is left behind is killed
	refused      string    // why one of its processes cannot be signalled
}

// onDemand is of a service that is started by a connection.
type onDemand struct {
	called bool      // somebody has connected
	idle   bool      // it is being ended because nobody is connected
	lonely time.Time // when nobody was first seen connected, zero while somebody is
}

// past is what was.
type past struct {
	exit     *control.Exit
	cause    error // why the last start failed, as an error
	restarts int
	printed  int64       // by all runs until the last one's end, as the stream counts
	crashes  int         // in a row, for the backoff
	window   []time.Time // restarts within the budget's window
	next     time.Time
}

// newService is a service of which nothing runs.
func (e *Engine) newService(d description) *service {
	s := &service{engine: e, description: d, standing: standing{state: Stopped, since: time.Now()}}
	s.Unit = children.Unit{Service: s}
	return s
}

// Name is the service's.
func (s *service) Name() string { return s.spec.Name }

// spawning says whether a start is under way, and there is no pid yet.
func (s *service) spawning() bool { return s.opening || s.Starting() }

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
func (e *Engine) after(s *service, t timer, d time.Duration, f func()) {
	e.loop.After(&s.timers[t], d, f)
}

// postpone makes a timer that runs go off no sooner than in d.
func (e *Engine) postpone(s *service, t timer, d time.Duration) { e.loop.Postpone(&s.timers[t], d) }

func (s *service) stop(t timer) { s.timers[t].Stop() }

// quiet ends all waiting for the process that ran.
func (s *service) quiet() { s.quietBut(numTimers) }

func (s *service) quietBut(one timer) {
	for t := range numTimers {
		if t != one {
			s.stop(t)
		}
	}
	s.endProbe()
}

func (s *service) endProbe() {
	if s.cancel != nil {
		s.cancel(nil)
		s.cancel = nil
	}
}

// begin is what being wanted leads to, from any state without a process. Whoever asks
// for it gives the service a fresh start: earlier crashes do not count any more.
func (e *Engine) begin(s *service, _ cause) {
	s.stop(timerDelay)
	s.crashes, s.window, s.next = 0, nil, time.Time{}
	s.unproven = false
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

// rest is the end of wanting, from any state without a process.
func (e *Engine) rest(s *service, why cause) {
	s.stop(timerDelay)
	s.next = time.Time{}
	if e.waitsForOthers(s) {
		e.enter(s, Stopping, why.text)
		e.sweep(s)
		return
	}
	e.enter(s, Stopped, why.text)
}

// becomeReady is the end of a successful start.
func (e *Engine) becomeReady(s *service, why cause) {
	s.stop(timerReady)
	s.stop(timerSettle)
	s.endProbe()
	if s.isReplacement() {
		e.takePlace(s)
	}
	e.enter(s, Ready, why.text)
	s.wake()
	e.watchLiveness(s)
	e.watchIdle(s)
	e.endReplaced(s)
}

// endFailing ends a process for its own good: it is to run, but not like this.
func (e *Engine) endFailing(s *service, why cause) {
	s.failure, s.cause = why.text, why.err
	e.beginStop(s, why.text)
}

// exited deals with the end of the main process.
func (e *Engine) exited(s *service, why cause) {
	ready := s.state == Ready
	s.quietBut(timerStop) // the step under way goes on, for what is left behind
	x := why.exit
	x.OOM = !s.killed && e.ranOutOfMemory(s.Group(), s.state, x)
	if x.OOM {
		x.Text += outOfMemory
	}
	s.exit = x
	if s.failure == "" {
		s.cause = nil
	}
	e.emit(s, control.Event{Kind: control.EventExit, Exit: x, PID: s.PID(), Reason: x.Text})
	s.Gone()
	s.refused = ""
	// A success before it was up is none, unless ending is what it is for.
	early := !ready && s.spec.Type != spec.Oneshot
	s.endsWell = s.state != Stopping && s.spec.Type != spec.Oneshot && !x.Unknown && x.Signal == "" && x.Code == 0
	if s.state != Stopping && (early || !e.succeeded(s, x)) {
		s.failure = failedText(x, ready)
	}
	e.sweep(s)
}

// succeeded says whether an exit is no failure.
func (e *Engine) succeeded(s *service, x *control.Exit) bool {
	if x.Unknown {
		return false
	}
	if x.Signal != "" {
		return s.spec.Success.HasSignal(x.Signal)
	}
	return x.Code == 0 || s.spec.Success.HasCode(x.Code)
}
