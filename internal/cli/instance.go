package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

// instanceCall is what the words of "status", "signal" and "stop" ask for.
type instanceCall struct {
	pidfile string
	json    bool
}

func (c *instanceCall) options() []option {
	return []option{
		{"pidfile", "FILE", "The daemon that FILE names.", "", parsed(&c.pidfile, word)},
		{"json", "", "Print an array of objects.", "", toggle(&c.json)},
	}
}

// named says what is wrong with a call that names no pid file; rest are the words
// that are names of services.
func (c *instanceCall) named(status int, rest []string) error {
	switch {
	case c.pidfile != "" && len(rest) > 0:
		return usagef("", "%q and --pidfile: name one or the other", rest[0])
	case c.pidfile != "":
		return nil
	case len(rest) > 0:
		return noSupervisor(status, rest[0])
	}
	return usagef("", "no pid file given")
}

// noSupervisor is the answer to the name of a service where none is supervised.
func noSupervisor(status int, name string) error {
	return &statusError{
		status: status,
		err:    fmt.Errorf("%s: no supervisor is running that could know a service by its name", name),
		hint:   "a detached daemon is named by its pid file: --pidfile FILE",
	}
}

// instance is a daemon as "status --json" shows it.
type instance struct {
	Name    string `json:"name"` // of the pid file, without ".pid"
	State   string `json:"state"`
	PID     int    `json:"pid,omitempty"`
	Since   string `json:"since,omitempty"` // RFC 3339
	Reason  string `json:"reason,omitempty"`
	PIDFile string `json:"pidfile"`

	started time.Time
}

// nameOf is the name of the daemon of a pid file.
func nameOf(path string) string { return strings.TrimSuffix(filepath.Base(path), ".pid") }

func describe(i *pidfile.Instance) instance {
	d := instance{Name: nameOf(i.Path), State: i.State.String(), PID: i.PID, PIDFile: i.Path}
	if i.Why != nil {
		d.Reason = i.Why.Error()
	}
	if i.State != pidfile.Running {
		return d
	}
	// The state is known without it: a start time that cannot be had is left out.
	if stat, err := sys.ReadStat(i.PID); err == nil {
		if at, err := sys.StartedAt(stat); err == nil {
			d.started, d.Since = at, at.Format(time.RFC3339)
		}
	}
	return d
}

// line is a daemon as people read it.
func (d instance) line() string {
	switch {
	case d.State == pidfile.Absent.String():
		return d.Name + ": not running: there is no pid file " + d.PIDFile
	case d.State != pidfile.Running.String():
		return fmt.Sprintf("%s: %s: %s", d.Name, d.State, d.Reason)
	case d.Since == "":
		return fmt.Sprintf("%s: running: process %d", d.Name, d.PID)
	}
	up := max(0, time.Since(d.started)).Truncate(time.Second)
	return fmt.Sprintf("%s: running: process %d, for %s", d.Name, d.PID, spec.Duration(up))
}

// stateExit is the exit status that goes with a state, by the Linux Standard
// Base: of a pid file whose process is dead it says 1, of none 3.
var stateExit = map[pidfile.State]int{
	pidfile.Running:  exitOK,
	pidfile.Dead:     exitFailed,
	pidfile.Absent:   exitNotRunning,
	pidfile.Starting: exitUnknown,
	pidfile.Unproven: exitUnknown,
}

func statusVerb(a *app) *verb {
	call := &instanceCall{}
	return &verb{
		page: page{
			name:     "status",
			short:    "say whether a daemon is running",
			synopsis: []string{"daemonry status [--json] --pidfile FILE"},
			about: []string{
				"A pid alone proves nothing: the process must be the one that was recorded, by its lock on the file or by its start. What is alive without that proof is \"unproven\", as with a pid file that a program wrote by itself.",
			},
			options: []group{{"", call.options()}},
			statuses: []row{
				{"0", "running"},
				{"1", "not running, and the pid file names a process that is dead or another"},
				{"3", "not running, and there is no pid file"},
				{"4", "unknown: not proven, just starting, or the file cannot be read or trusted"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry status --pidfile web.pid", "For a person:"},
				{"daemonry status --json --pidfile web.pid", "For a program:"},
			},
			seeAlso: []string{"daemonry detach", "daemonry check", "daemonry stop"},
		},
		run: func(words []string) error { return a.status(call, words) },
	}
}

func (a *app) status(call *instanceCall, words []string) error {
	if err := call.named(exitUnknown, words); err != nil {
		return err
	}
	found, err := pidfile.Find(call.pidfile)
	if err != nil {
		return &statusError{status: exitUnknown, err: err}
	}
	d, state := describe(found), found.State
	if err := found.Close(); err != nil {
		return err
	}
	if call.json {
		err = a.writeJSON([]instance{d})
	} else {
		_, err = fmt.Fprintln(a.out, printable(d.line()))
	}
	if err != nil {
		return err
	}
	if code := stateExit[state]; code != exitOK {
		return &statusError{status: code}
	}
	return nil
}
