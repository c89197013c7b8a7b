package cli

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/internal/proctree"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

// stopCall is what the words of "daemonry stop" ask for.
type stopCall struct {
	instanceCall
	chosen
	detach.StopOptions
}

func stopVerb(a *app) *verb {
	call := &stopCall{}
	return &verb{
		options: []group{{"", append(call.options(), call.option(),
			option{"signal", "SCHEDULE", string(spec.DefaultStopSignal),
				parsed(&call.Schedule, spec.ParseStopSchedule)},
			option{"timeout", "DURATION", spec.DefaultStopTimeout.String(),
				parsed(&call.Timeout, spec.ParseDuration)},
		)}},
		run: func(words []string) error { return a.stop(call, words) },
	}
}

func (a *app) stop(call *stopCall, words []string) error {
	if call.pidfile == "" {
		return a.stopServices(call, words)
	}
	if err := call.alone(call.chosen, words); err != nil {
		return err
	}
	line := a.statusLine(false)
	if line != nil {
		call.Progress = func(e proctree.Event) {
			if e.Kind == proctree.Signalled {
				line.show(e.Process.String() + " to end")
			}
		}
	}
	ctx, done := untilSignal()
	defer done()
	result, err := detach.Stop(ctx, call.pidfile, call.StopOptions)
	line.erase()
	if errors.Is(err, pidfile.ErrNotRunning) {
		return a.notRunning(call, err)
	}
	if sayErr := a.printStopped(call, result); err == nil {
		err = sayErr
	}
	return err
}

// notRunning is the answer to a stop of what may have been stopped before.
// That is what was asked for, so it is no failure; not to know is one.
func (a *app) notRunning(call *stopCall, reason error) error {
	found, err := pidfile.Find(call.pidfile)
	if err != nil {
		return err
	}
	d := describe(found)
	if err := found.Close(); err != nil {
		return err
	}
	if found.State != pidfile.Absent && found.State != pidfile.Dead {
		return reason
	}
	if call.json {
		return a.writeJSON([]stopped{{instance: d, Processes: []ended{}}})
	}
	_, err = fmt.Fprintln(a.out, printable(d.line()))
	return err
}

// stopped is what "stop --json" shows.
type stopped struct {
	instance
	Processes []ended `json:"processes"`
}

type ended struct {
	PID     int           `json:"pid"`
	Name    string        `json:"name"`
	Signals []string      `json:"signals,omitempty"`
	Ended   bool          `json:"ended"`
	After   spec.Duration `json:"after"`
	Error   string        `json:"error,omitempty"`
}

// printStopped says what became of each process.
func (a *app) printStopped(call *stopCall, r proctree.Result) error {
	if r.Main.PID == 0 {
		return nil // nothing was done; the error says why
	}
	for _, p := range r.Spared {
		fmt.Fprintf(a.err, "%s: left alone %v, which this command runs under or started\n",
			program, p)
	}
	outcomes := append([]proctree.Outcome{r.Main}, r.Others...)
	if !call.json {
		for _, o := range outcomes {
			if _, err := fmt.Fprintln(a.out, o); err != nil {
				return err
			}
		}
		return nil
	}
	all := stopped{instance: instance{Name: nameOf(call.pidfile), State: "stopped",
		PIDFile: call.pidfile}}
	if len(r.Left) > 0 {
		all.State = "stopping"
	}
	for _, o := range outcomes {
		all.Processes = append(all.Processes, ended{o.PID, o.Name, o.Signals, o.Ended,
			spec.Duration(o.After), o.Error})
	}
	return a.writeJSON([]stopped{all})
}

func (a *app) stopServices(call *stopCall, names []string) error {
	if len(call.Schedule) > 0 || call.Timeout != 0 {
		return usagef("--signal and --timeout are for --pidfile").
			advise("how a service is ended is in its description: stop, stop_timeout")
	}
	return a.changed(&change{call.chosen, call.json}, names, isDown, (*session).Stop)
}
