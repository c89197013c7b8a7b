// Package control is the supervisor's API: its types, its version and its client.
//
// The supervisor serves HTTP/1.1 with JSON over a Unix socket. [Client] speaks
// it; docs/api.md and docs/openapi.json describe it for other languages. Times
// are RFC 3339 with a zone, durations Go strings such as "1m30s", signals
// names without "SIG".
//
// Within a version of the API, fields and values of "kind", "code" and
// "action" may be added, and nothing is removed or changes its meaning: a client
// skips what it does not know. The supervisor does not: a field it does not
// know in a request is an error, because whoever sent it expects it to matter.
package control

import (
	"time"

	"github.com/daemonry/daemonry/spec"
)

// Version is the version of the API, the first element of every path.
const Version = "v1"

// State is where a service stands.
type State string

// States.
const (
	Stopped  State = "stopped"  // nothing runs and nothing is to run
	Waiting  State = "waiting"  // to run as soon as other services are ready
	Starting State = "starting" // its process runs, or is about to, and is not ready yet
	Ready    State = "ready"    // up; or, for a oneshot that remains, done with success
	Stopping State = "stopping" // being ended; what it left behind, too
	Backoff  State = "backoff"  // crashed, to be started again after a delay
	Failed   State = "failed"   // given up; the reason says why
	// Listening is a service on demand that nobody has connected to: its sockets are open, and the
	// first connection starts it.
	Listening State = "listening"
)

// States are all states.
func States() []State {
	return []State{Stopped, Waiting, Starting, Ready, Stopping, Backoff, Failed, Listening}
}

// Status is what there is to know about a service at one moment.
type Status struct {
	// Name of the service; an instance is "NAME@NUMBER".
	Name string `json:"name"`
	// State where it stands.
	State State `json:"state"`
	// PID of the main process, 0 if there is none.
	PID int `json:"pid"`
	// Ready says whether it is up.
	Ready bool `json:"ready"`
	// Restarts since it was added, not counting those asked for.
	Restarts int `json:"restarts"`
	// Since when it is in its state.
	Since time.Time `json:"since"`
	// Exit is how the last process ended, null before the first end.
	Exit *Exit `json:"exit"`
	// Reason why the state is what it is, in one line. May be empty.
	Reason string `json:"reason"`
	// Wanted says whether it is to be up.
	Wanted bool `json:"wanted"`
	// Held says that it was stopped by hand: "up" and the next supervisor do not start it.
	Held bool `json:"held"`
	// Description in one line, for people.
	Description string `json:"description,omitzero"`
	// Started is when the running process was started.
	Started time.Time `json:"started,omitzero"`
	// Next is when the next start is due, if one is.
	Next time.Time `json:"next,omitzero"`
	// Text is the service's own words about itself (STATUS= of sd_notify(3)).
	Text string `json:"text,omitzero"`
	// LogError says why what it prints cannot be written to its log, if it cannot.
	LogError string `json:"log_error,omitzero"`
	// Source is the file that describes it, empty if a command line did.
	Source string `json:"source,omitzero"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitzero"`
	// CPU is the time that the main process has used since its start. Only if
	// it was asked for and could be had.
	CPU *spec.Duration `json:"cpu,omitzero"`
	// Memory is what the main process and its descendants have resident and share with no file, in
	// bytes. Only if it was asked for and could be had.
	Memory *int64 `json:"memory,omitzero"`
	// Spec is its description with all defaults. Only if it was asked for.
	Spec *spec.Service `json:"spec,omitzero"`
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status, 0 if a signal ended it.
	Code int `json:"code"`
	// Signal that ended it, empty if none did.
	Signal spec.Signal `json:"signal,omitzero"`
	// Core says that it left a core dump.
	Core bool `json:"core,omitzero"`
	// OOM says that most likely the kernel killed it for want of memory.
	OOM bool `json:"oom,omitzero"`
	// Unknown says that it ended and nobody can say how, because it was no child of the supervisor:
	// an earlier one had started it. Code and Signal say nothing then.
	Unknown bool `json:"unknown,omitzero"`
	// Text says it in a few words: "exited with status 7".
	Text string `json:"text"`
	// At is when.
	At time.Time `json:"at"`
	// User is the time it and its waited-for children spent in their own code.
	User spec.Duration `json:"user"`
	// System is the time they spent in the kernel.
	System spec.Duration `json:"system"`
	// MaxRSS is the most memory that one of them had resident, in bytes. 0: not
	// known, because it was less than what the supervisor itself has had.
	MaxRSS int64 `json:"max_rss"`
	// Words are the last lines it printed.
	Words []string `json:"words,omitzero"`
}

// Status is what a shell would have in $?: the exit status, or 128 and the
// number of the signal on this system; 125 if nobody knows.
func (x *Exit) Status() int {
	if x.Unknown {
		return 125
	}
	if x.Signal == "" {
		return x.Code
	}
	n, err := x.Signal.Number()
	if err != nil {
		return 128 // a signal that this system does not have
	}
	return 128 + int(n)
}

// Supervisor is what there is to know about the supervisor itself.
type Supervisor struct {
	// PID of the supervisor.
	PID int `json:"pid"`
	// Version of the program.
	Version string `json:"version"`
	// API is the version of the API.
	API string `json:"api"`
	// Started is when.
	Started time.Time `json:"started"`
	// Uptime is how long ago that is; the time of a suspended machine does not count.
	Uptime spec.Duration `json:"uptime"`
	// Services is how many there are.
	Services int `json:"services"`
	// States is how many are in each state that any is in.
	States map[State]int `json:"states"`
	// Adopted is how many services an earlier supervisor had left running, and this one took over
	// when it started.
	Adopted int `json:"adopted,omitzero"`
	// Unknown are the processes that an earlier supervisor started for services which nothing
	// describes any more, as after an older state has been put back. They are left alone, and taken
	// over when the service is described again.
	Unknown []Unknown `json:"unknown,omitzero"`
	// RuntimeDir is where its socket is.
	RuntimeDir string `json:"runtime_dir"`
	// StateDir is where it keeps what is wanted.
	StateDir string `json:"state_dir"`
	// LogDir is where logs go that are not told to go elsewhere.
	LogDir string `json:"log_dir"`
	// UpgradeError says why the last upgrade failed although the new program had proven itself.
	UpgradeError string `json:"upgrade_error,omitzero"`
}

// Unknown is a process of a service that nothing describes.
type Unknown struct {
	// Name of the service.
	Name string `json:"name"`
	// PID of its main process.
	PID int `json:"pid"`
}

// Upgrade is the answer to an [UpgradeRequest]: the program has proven that it can go on, and is
// about to be executed. The next answer is its own, or says why not (Supervisor.UpgradeError).
type Upgrade struct {
	// Version of the program.
	Version string `json:"version"`
}

// Health tells whether all is well: every service that is to be up is.
type Health struct {
	// Healthy says so.
	Healthy bool `json:"healthy"`
	// NotReady are the services that are to be up and are not.
	NotReady []string `json:"not_ready"`
}

// EventKind says what an event is about.
type EventKind string

// Kinds of events.
const (
	EventState   EventKind = "state"   // the state changed, from From
	EventExit    EventKind = "exit"    // the main process ended; Exit says how
	EventSignal  EventKind = "signal"  // a signal was sent
	EventReload  EventKind = "reload"  // a reload was asked for, or has ended
	EventStray   EventKind = "stray"   // processes left behind were ended
	EventLog     EventKind = "log"     // the log cannot be written, or can again
	EventChange  EventKind = "change"  // the description was added, changed or removed
	EventUpgrade EventKind = "upgrade" // the supervisor goes on in another program
	EventRolling EventKind = "rolling" // a process beside the main one, in a rolling restart
	EventTrouble EventKind = "trouble" // the supervisor itself has difficulties
	EventMissed  EventKind = "missed"  // events are missing here: the reason says why
)

// Event is one thing that happened.
type Event struct {
	// ID counts up from 1 in the life of a supervisor.
	ID uint64 `json:"id"`
	// Time is when.
	Time time.Time `json:"time"`
	// Kind says what it is about.
	Kind EventKind `json:"kind"`
	// Service is whose, empty if it is the supervisor's own.
	Service string `json:"service,omitzero"`
	// From is the state before, if the kind is "state".
	From State `json:"from,omitzero"`
	// State the service is in now.
	State State `json:"state,omitzero"`
	// PID of the process concerned, if there is one.
	PID int `json:"pid,omitzero"`
	// Reason in one line, for people.
	Reason string `json:"reason,omitzero"`
	// Exit is how the process ended, if the kind is "exit".
	Exit *Exit `json:"exit,omitzero"`
}

// Action is what an apply does, or would do, to a service.
type Action string

// Actions.
const (
	ActionAdd     Action = "add"     // new: added, and started unless it says otherwise
	ActionRemove  Action = "remove"  // gone from its file: stopped and forgotten
	ActionRestart Action = "restart" // changed in what only a new process can have
	ActionUpdate  Action = "update"  // changed in what the running process need not notice
	ActionStart   Action = "start"   // unchanged, but not up
	ActionNone    Action = "none"    // unchanged
)

// Planned is one line of a plan.
type Planned struct {
	// Name of the service.
	Name string `json:"name"`
	// Action is what is done to it.
	Action Action `json:"action"`
	// Fields that changed.
	Fields []string `json:"fields,omitzero"`
	// Environ are the names of the variables that changed in the environment that it inherits.
	Environ []string `json:"environ,omitzero"`
	// Held says that it was stopped by hand, and stays so.
	Held bool `json:"held,omitzero"`
}
