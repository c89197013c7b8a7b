// Package lifecycle takes one service through its states: start, ready, stop, start again.
//
// What can happen to a service is a table (state.go); its state is private to this package: others
// can have something happen to it, and put it where an earlier supervisor has left it (Place). A
// service knows no other service: who has it, the Owner, says what it waits for and hears what
// becomes of it.
//
// All of it is of one goroutine, that of the loop in Shared. What takes time is done elsewhere and
// comes back as a function that this goroutine runs.
//
// Time is that of package time, so that testing/synctest replaces it. All durations are taken
// between readings of the monotonic clock: a clock that is set moves only what is shown to people.
// That clock stands still while the machine is suspended (clock_gettime(2)), and so do all delays
// and limits.
package lifecycle

import (
	"context"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Owner has a service, and knows the others.
type Owner interface {
	// Blocker says what the service has to wait for before it may start, "" if nothing.
	Blocker() string
	// MustHold says whether something that needs the service is still to be ended before it.
	MustHold() bool
	// AwaitsOthers says whether the service, of which this process is over, has other processes
	// that whoever is told that it is down must not find.
	AwaitsOthers() bool
	// HoldSockets makes the service one of the users of the sockets in its description.
	HoldSockets()
	// Launch is for a process that is to be started: all that is not of this one start.
	Launch() supervised.Launch

	// Changed hears that the state is another one.
	Changed()
	// Up hears that the service is ready.
	Up()
	// CannotEnd hears that one of its processes cannot be signalled.
	CannotEnd()
	// Reloaded hears that a reload is over: nil, or why it did not come to its end.
	Reloaded(error)
	// Emit delivers an event.
	Emit(control.Event)

	// Note has the journal say what is true of the service now; NoteSoon may take its time.
	Note()
	NoteSoon()
	// Noted calls then when it is on disk, or cannot be written.
	Noted(then func())
	// WantedChanged hears that the service has changed Wanted by itself.
	WantedChanged()

	// Role is which of the processes of the service it is.
	Role() Role
	// Registered is the one of them that is asked for by name.
	Registered() *Service
	// TakePlace has a replacement, which is ready, become that one.
	TakePlace()
	// Over hears that a process beside that one has come to its end, and why if that is a failure.
	Over(failure string)
}

// Role is which process of its service one is.
type Role uint8

const (
	Main        Role = iota // the one that is asked for by name
	Replacement             // of a rolling restart: comes up to take its place
	Replaced                // has given its place away and is being ended
)

// Shared is what all services of a supervisor have together.
type Shared struct {
	Loop     *loop.Loop
	Kernel   Kernel
	Procs    *children.Table
	Handover *handover.Table[*Service]
	Hearing  *hearing.Hearing
	Resting  probe.Resting
	Trouble  func(error)
	// Closing says that the supervisor ends, and all services with it.
	Closing bool

	table      table
	changing   *Service // to which something is happening
	alive      int      // services neither stopped nor failed
	holding    int      // services whose stop waits for others
	unanswered int      // calls of the kernel that starts have given up and that have not come back
	oomKills   uint64   // of the whole system, when last looked at
}

// Open prepares what is shared.
func (h *Shared) Open() { h.table = reactions() }

// Begin is for before anything is started: who was killed for want of memory until now was not
// ours. Where that cannot be read, nothing is said about it.
func (h *Shared) Begin() { h.oomKills, _ = h.Kernel.OOMKills() }

// Alive is how many services are neither stopped nor failed.
func (h *Shared) Alive() int { return h.alive }

// Holding says whether the stop of a service waits for others.
func (h *Shared) Holding() bool { return h.holding > 0 }

// Service is one service at run time, or one of two processes of it. Init makes it.
type Service struct {
	shared *Shared
	owner  Owner
	spec   *spec.Service // with defaults; replaced as a whole, never changed in place
	standing
	children.Unit // the process that runs or is being started, and all that has come of it
	attempt
	wayUp
	wayDown
	onDemand
	past

	run    uint64 // counts starts, to tell an answer about an earlier one
	timers [numTimers]loop.Alarm
	stream *logs.Stream
	cancel context.CancelCauseFunc // ends the probe under way
}

// standing is where a service stands.
type standing struct {
	// Wanted says that it is to be up.
	Wanted bool

	state     control.State // set sets it
	since     time.Time
	completed bool // of a oneshot: the last run did its work
	// unproven: failed, because a process of it that an earlier supervisor started may live, and
	// was not found. Only by its name is it started.
	unproven bool
	reason   string
	text     string // STATUS=
}

// attempt is one start, and the run that comes of it.
type attempt struct {
	opening bool // its sockets are being opened, in place of a start
	// while it starts: ends its wait for a file system; nil before the first
	giveUp    func(error)
	signals   []syscall.Signal // for it as soon as the pid is known
	limits    spec.Limits      // that hold in its control group
	startedAt time.Time
	watchdog  spec.Duration
	draining  bool // the process is dead, its last output not yet on disk
	killed    bool // we sent it SIGKILL
}

// wayUp is what is known until a service is ready, and while it reloads.
type wayUp struct {
	// what the last start waited for, closed when it has come; nil: nothing
	inVain     <-chan struct{}
	extended   bool   // the time allowed until ready was
	lastAnswer error  // of the last run of a readiness command
	rewound    bool   // ready was lost by RELOADING=1 and is to come back
	saidIn     uint64 // the run that said READY=1 before it had come to rest
}

// wayDown is what is known of a service that is being ended.
type wayDown struct {
	failure      string    // why it is being stopped although wanted; "" if it was asked for
	saidStopping bool      // STOPPING=1 was heard; beginStop forgets it
	endsWell     bool      // its main process has ended with success, without having been asked to
	forked       string    // what is to be said of one that did, and has left processes behind
	again        bool      // start anew once stopped, without delay
	step         int       // of the stop schedule
	holding      bool      // the stop waits for services that need this one
	killedAt     time.Time // when killing began
	told         bool      // that what is left behind is killed
	saidStuck    bool      // that it is not gone
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

// Init makes s a service of which nothing runs.
func (s *Service) Init(shared *Shared, owner Owner, described spec.Service) {
	s.shared, s.owner, s.spec = shared, owner, &described
	s.standing = standing{state: Stopped, since: time.Now()}
	s.Unit = children.Unit{Service: s}
}

// Name is the service's; Owner is who has it.
func (s *Service) Name() string { return s.spec.Name }
func (s *Service) Owner() Owner { return s.owner }

// Spec is its description, which is not to be changed.
func (s *Service) Spec() *spec.Service { return s.spec }

// State is where it stands, Since when that began and Reason why.
func (s *Service) State() control.State { return s.state }
func (s *Service) Since() time.Time     { return s.since }
func (s *Service) Reason() string       { return s.reason }

// Text is what it has said of itself (STATUS=).
func (s *Service) Text() string { return s.text }

// Started is when the last process was.
func (s *Service) Started() time.Time { return s.startedAt }

// Exit is how the last process ended, nil if there was none; Cause is why there was none, as an
// error.
func (s *Service) Exit() *control.Exit { return s.exit }
func (s *Service) Cause() error        { return s.cause }

// Restarts is how often it was started again; Next is when it will be, zero if not by itself.
func (s *Service) Restarts() int   { return s.restarts }
func (s *Service) Next() time.Time { return s.next }

// Stream is what it prints, nil before its first start.
func (s *Service) Stream() *logs.Stream { return s.stream }

// Completed says of a oneshot that the last run did its work.
func (s *Service) Completed() bool { return s.completed }

// Unproven says that it has failed because a process of it may run that was not found.
func (s *Service) Unproven() bool { return s.unproven }

// Reloading says that RELOADING=1 was said and READY=1 was not yet.
func (s *Service) Reloading() bool { return s.rewound }

// Holds says that its stop waits for services that need it.
func (s *Service) Holds() bool { return s.holding }

// WhyRefused says why one of its processes cannot be signalled, "" if all can.
func (s *Service) WhyRefused() string { return s.refused }

// Forked says that its main process ended well and left others behind.
func (s *Service) Forked() bool { return s.forked != "" }

// Draining says that its main process is dead, and its last output not yet on disk.
func (s *Service) Draining() bool { return s.draining }

// Satisfied says whether those that require s may start.
func (s *Service) Satisfied() bool {
	return s.state == Ready || s.state == Listening || s.state == Stopped && s.completed
}

// Spawning says whether a start is under way, and there is no pid yet.
func (s *Service) Spawning() bool { return s.opening || s.Starting() }

// HasProcess says whether s has a process or is about to have one.
func (s *Service) HasProcess() bool { return s.PID() != 0 || s.Spawning() }
