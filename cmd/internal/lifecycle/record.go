package lifecycle

import (
	"slices"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// Record is what a successor must know of one service to go on with it. Times are of the wall
// clock, because that is the one that two processes share; what is reckoned from them is bounded
// where it is read.
type Record struct {
	State     control.State `json:"state,omitzero"`
	Since     time.Time     `json:"since,omitzero"`
	Wanted    bool          `json:"wanted,omitzero"`
	Completed bool          `json:"completed,omitzero"`
	// failed, because it may run and was not found
	Unproven bool   `json:"unproven,omitzero"`
	Reason   string `json:"reason,omitzero"`
	Text     string `json:"text,omitzero"`

	// The process. One that is being started has an invocation and no main yet: it is found by
	// that.
	Invocation string            `json:"invocation,omitzero"`
	Main       children.Identity `json:"main,omitzero"`
	Session    int               `json:"session,omitzero"`
	Started    time.Time         `json:"started,omitzero"`
	Watchdog   spec.Duration     `json:"watchdog,omitzero"`
	Rewound    bool              `json:"rewound,omitzero"`

	// The way down.
	Killed  bool                `json:"killed,omitzero"`
	Failure string              `json:"failure,omitzero"`
	Again   bool                `json:"again,omitzero"`
	Step    int                 `json:"step,omitzero"`
	Left    []children.Identity `json:"left,omitzero"` // descendants when the stop began

	Exit     *storedExit `json:"exit,omitzero"`
	Restarts int         `json:"restarts,omitzero"`
	Crashes  int         `json:"crashes,omitzero"`
	Window   []time.Time `json:"window,omitzero"`
	Next     time.Time   `json:"next,omitzero"`
}

// Record is what is true of s at this moment.
func (s *Service) Record() Record {
	r := Record{
		State: s.state, Since: s.since.Round(0), Wanted: s.Wanted, Completed: s.completed,
		Unproven: s.unproven, Reason: s.reason, Text: s.text,
		Invocation: s.Invocation(), Session: s.Session(), Watchdog: s.watchdog, Rewound: s.rewound,
		Killed: s.killed, Failure: s.failure, Again: s.again || s.shared.Closing && s.Wanted,
		Step: s.step, Left: s.Remembered(),
		Exit: toStore(s.exit), Restarts: s.restarts, Crashes: s.crashes,
		Window: slices.Clone(s.window), Next: s.next.Round(0),
	}
	if s.PID() != 0 {
		r.Main, r.Started = s.Identity(), s.startedAt.Round(0)
	}
	return r
}

// Place puts s where an earlier supervisor has left it, without any consequence. Its process is to
// be found by then: GoOn goes on from here.
func (s *Service) Place(r Record) {
	if !r.Since.IsZero() {
		s.since = r.Since
	}
	s.Wanted, s.completed, s.unproven = r.Wanted, r.Completed, r.Unproven
	s.reason, s.text, s.exit = r.Reason, r.Text, r.Exit.exit()
	s.restarts, s.crashes, s.window, s.next = r.Restarts, r.Crashes, r.Window, r.Next
	s.startedAt, s.watchdog, s.rewound = r.Started, r.Watchdog, r.Rewound
	s.killed, s.failure, s.again, s.step = r.Killed, r.Failure, r.Again, r.Step
	s.happen(hPlaced, cause{state: knownState(r.State)})
}

// placed puts a service where it was, without any consequence.
func (s *Service) placed(why cause) {
	if s.set(why.state); why.text != "" {
		s.reason = why.text
	}
}

// knownState is a state that there is; Stopped for one that is not known.
func knownState(state control.State) control.State {
	if _, known := reactions()[state]; known {
		return state
	}
	return Stopped
}

// storedExit is a control.Exit as records have it, from before there was one.
type storedExit struct {
	Code    int
	Signal  syscall.Signal
	Core    bool
	OOM     bool
	Unknown bool
	At      time.Time
	Usage   struct {
		User, System time.Duration
		MaxRSS       int64
	}
	Words []string
	Text  string `json:",omitzero"`
}

func toStore(x *control.Exit) *storedExit {
	if x == nil {
		return nil
	}
	s := &storedExit{Code: x.Code, Core: x.Core, OOM: x.OOM, Unknown: x.Unknown, At: x.At,
		Words: x.Words, Text: x.Text}
	s.Usage.User, s.Usage.System, s.Usage.MaxRSS = time.Duration(x.User),
		time.Duration(x.System), x.MaxRSS
	if x.Signal != "" {
		s.Signal, _ = x.Signal.Number() // it is from this system
	}
	return s
}

func (s *storedExit) exit() *control.Exit {
	if s == nil {
		return nil
	}
	x := &control.Exit{
		Code: s.Code, Core: s.Core, OOM: s.OOM, Unknown: s.Unknown, At: s.At,
		Words: s.Words, Text: s.Text,
		User: spec.Duration(s.Usage.User), System: spec.Duration(s.Usage.System),
		MaxRSS: s.Usage.MaxRSS,
	}
	if s.Signal != 0 {
		x.Signal = spec.SignalOf(s.Signal)
	}
	if x.Text == "" { // of a version that did not keep it
		x.Text = exitText(spawn.Exit{Code: s.Code, Signal: s.Signal, CoreDump: s.Core},
			s.Unknown, s.OOM)
	}
	return x
}
