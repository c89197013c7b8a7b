package control

import (
	"time"

	"github.com/daemonry/daemonry/spec"
)

// ApplyRequest asks to make reality match a set of descriptions.
type ApplyRequest struct {
	// Services are all there are in Source, instances not expanded.
	Services []spec.Service `json:"services"`
	// Source is the file they are from: services of that source which are not
	// among Services are removed. Empty: nothing is removed.
	Source string `json:"source,omitzero"`
	// Environ is the environment that Services inherit: "NAME=VALUE" strings, each with a NUL after
	// it, as in /proc/PID/environ. Absent: those that are there keep what they have, and new ones
	// get the supervisor's own. No answer ever has it.
	Environ []byte `json:"environ,omitzero"`
	// Plan changes nothing and answers what would be done.
	Plan bool `json:"plan,omitzero"`
	// NoStart takes the descriptions in without starting what is new.
	NoStart bool `json:"no_start,omitzero"`
}

// Applied is the answer to an ApplyRequest.
type Applied struct {
	// Plan is what was done, or would be.
	Plan []Planned `json:"plan"`
}

// Names chooses services.
type Names struct {
	// Names of services. The name of a service with instances stands for all of them.
	Names []string `json:"names,omitzero"`
	// All chooses every service; then there are no names. Without either, a
	// request is refused: nobody stops everything by forgetting a word.
	All bool `json:"all,omitzero"`
}

// RestartRequest asks to restart services.
type RestartRequest struct {
	Names
	// Rolling starts each service's new process beside the old one, on the same
	// sockets, and ends the old one only when the new one is ready. One after the other.
	Rolling bool `json:"rolling,omitzero"`
}

// SignalRequest asks to send a signal to the main processes of services.
type SignalRequest struct {
	Names
	// Signal by name or Linux number.
	Signal spec.Signal `json:"signal"`
}

// WaitRequest asks to be answered when services are in a state.
type WaitRequest struct {
	Names
	// State is "ready" for up, "stopped" for down. "failed" is down too: who
	// waits for a service to be down need not wait for ever for one that is.
	State State `json:"state"`
	// Timeout is how long to wait at most. Absent: as long as the client stays.
	Timeout spec.Duration `json:"timeout,omitzero"`
}

// Done is the answer to a request that has nothing else to say.
type Done struct{}

// Named chooses services by their names.
func Named(names ...string) Names { return Names{Names: names} }

// StatusRequest chooses what [Client.Status] returns. The zero value is every service, without
// usage and descriptions.
type StatusRequest struct {
	Names []string // none: all
	Usage bool     // fill in CPU and Memory, which costs two reads of /proc a service
	Spec  bool     // fill in Spec
}

// EventsRequest chooses what [Client.Events] returns. The zero value is the
// past events that the supervisor has kept.
type EventsRequest struct {
	After  uint64   // those with a higher ID
	New    bool     // none of the past; After does not matter then
	Follow bool     // go on with what happens
	Names  []string // of these services only; none: of all, and of the supervisor
}

// LogsRequest chooses what [Client.Logs] returns.
type LogsRequest struct {
	Name   string // of one service
	Lines  int    // the last so many, 10000 at most; 0: none, less: all
	Follow bool   // go on with what it prints

	// Since and Until leave out what is older or newer; zero: no bound. A log without time stamps
	// knows only when its files were written.
	Since, Until time.Time
	// Grep leaves out lines that do not match this regular expression (RE2); empty: none.
	Grep string
	// Streams are those wanted of "out", "err" and "log", what the log engine says itself; none:
	// all.
	Streams []string
}

// UpgradeRequest asks to execute another program in the supervisor's process.
type UpgradeRequest struct {
	// Program is the absolute path of the file.
	Program string `json:"program"`
}
