package supervise

import (
	"fmt"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// Status is what there is to know about a service at one moment.
type Status struct {
	Name        string
	Description string
	State       State
	Wanted      bool // whether it is to be up
	Held        bool // whether it was stopped by hand, and so is not started by anybody else
	PID         int  // of the main process, 0 if there is none
	Ready       bool
	Restarts    int       // since it was added, not counting those asked for
	Since       time.Time // of State
	Started     time.Time // when the running process was started; zero if none runs
	Exit        *Exit     // how the last process ended; nil before the first end
	Reason      string    // why the state is what it is, in one line
	Text        string    // the service's own words (STATUS=)
	LogError    string    // why what it prints cannot be written to its log; "" if it can
	Next        time.Time // when the next start is due, in Backoff; zero otherwise
	Source      string    // the file it came from
	Labels      map[string]string
}

// Exit is how a process of a service ended.
type Exit struct {
	Code   int
	Signal syscall.Signal // 0 if it was no signal
	Core   bool
	OOM    bool // most likely the kernel killed it for want of memory
	// Unknown says that it ended and nobody can say how: it was not our child.
	Unknown bool
	At      time.Time
	Usage   Usage
	// Words are the last lines it printed.
	Words []string
}

// Usage is what a process and its waited-for children have used up.
type Usage struct {
	User, System time.Duration
	MaxRSS       int64 // bytes; 0 if it was not more than the supervisor's own, below which it cannot be told
}

// String says it in a few words: "exited with status 7", "killed by SIGSEGV (core dumped)".
func (x *Exit) String() string {
	text := spawn.Exit{Code: x.Code, Signal: x.Signal, CoreDump: x.Core}.String()
	if x.Unknown {
		text = "ended, and how is not known"
	}
	if x.OOM {
		text += " (out of memory)"
	}
	return text
}

// status builds the Status of s.
func (s *service) status() Status {
	st := Status{
		Name: s.spec.Name, Description: s.spec.Description, State: s.state, Wanted: s.wanted, Held: s.held,
		PID: s.PID(), Ready: s.state == Ready || s.state == Listening, Restarts: s.restarts, Since: s.since, Exit: s.exit,
		Reason: s.reason, Text: s.text, LogError: s.logError, Source: s.source, Labels: s.spec.Labels,
	}
	if s.PID() != 0 {
		st.Started = s.startedAt
	}
	if s.state == Backoff || s.state == Failed {
		st.Next = s.next
	}
	return st
}

// exitOf is how a process ended, as the kernel says.
func exitOf(x children.Exit) *Exit {
	if x.Unknown {
		return &Exit{Unknown: true, At: x.At}
	}
	e := spawn.ExitOf(x.Status)
	return &Exit{Code: e.Code, Signal: e.Signal, Core: e.CoreDump, At: x.At, Usage: usageOf(x.Usage)}
}

// failedText is what the reason of a failure begins with.
func failedText(x *Exit, ready bool) string {
	if ready || x.Unknown {
		return x.String()
	}
	return fmt.Sprintf("%v before it was ready", x)
}

func signalName(sig syscall.Signal) string { return sys.SignalName(sig) }
