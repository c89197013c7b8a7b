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

// instanceCall is what the words of "check", "status", "signal" and "stop" ask for.
type instanceCall struct {
	pidfile string
	json    bool
}

func (c *instanceCall) options() []option {
	return []option{
		{"pidfile", "FILE", "", parsed(&c.pidfile, word)},
		{"json", "", "", toggle(&c.json)},
	}
}

// alone says what is wrong with a call that names a pid file and services too.
func (c *instanceCall) alone(services chosen, names []string) error {
	switch {
	case services.all:
		return usagef("--all and --pidfile: name one or the other")
	case len(names) > 0:
		return usagef("%q and --pidfile: name one or the other", names[0])
	}
	return nil
}

// noSupervisor is the answer to the name of a service where none is supervised.
func noSupervisor(status int, name string) error {
	return statusf(status,
		"%s: no supervisor is running that could know a service by its name", name).
		advise("a detached daemon is named by its pid file: " +
			"check, signal, status and stop take --pidfile FILE")
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
