package cli

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/internal/proctree"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

func signalVerb(a *app) *verb {
	call := &signalCall{}
	return &verb{
		page: page{
			name:     "signal",
			short:    "send a signal to services, or to a daemon",
			synopsis: []string{"daemonry signal SIGNAL NAME…", "daemonry signal SIGNAL --all", "daemonry signal SIGNAL --pidfile FILE"},
			about: []string{
				"Of a service it is the main process that gets it; KILL for one that is being ended is for all of it. SIGNAL is a name with or without SIG, in any case, or a number; real-time signals are RTMIN+3 or RTMAX-1. It is sent to the process that was recorded or to none, also when its pid has been given to another since.",
			},
			options: []group{{"", append(call.options(), call.option())}},
			statuses: []row{
				{"0", "sent"},
				{"1", "not sent; the message says why"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry signal HUP web", "Have a service read its configuration again:"},
				{"daemonry signal HUP --pidfile web.pid", "A daemon of \"daemonry detach\":"},
			},
			seeAlso: []string{"daemonry reload", "daemonry stop", "signal(7)"},
		},
		run: func(words []string) error { return a.signal(call, words) },
	}
}

// signalCall is what the words of "daemonry signal" ask for.
type signalCall struct {
	instanceCall
	chosen
}

func (a *app) signal(call *signalCall, words []string) (err error) {
	if len(words) == 0 {
		return usagef("", "no signal given")
	}
	name, err := spec.ParseSignal(words[0])
	if err != nil {
		return usagef("", "%w", err)
	}
	if call.pidfile == "" {
		return a.signalServices(call, name, words[1:])
	}
	if err := call.alone(call.chosen, words[1:]); err != nil {
		return err
	}
	number, err := name.Number()
	if err != nil {
		return err
	}
	found, err := pidfile.Find(call.pidfile)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, found.Close()) }()
	d := describe(found)
	if err := found.Signal(number); err != nil {
		return err
	}
	if call.json {
		return a.writeJSON([]signalled{{d, name}})
	}
	return nil
}

// signalled is what "signal --json" shows.
type signalled struct {
	instance
	Signal spec.Signal `json:"signal"`
}

// stopCall is what the words of "daemonry stop" ask for.
type stopCall struct {
	instanceCall
	chosen
	detach.StopOptions
}

func stopVerb(a *app) *verb {
	call := &stopCall{}
	return &verb{
		page: page{
			name:     "stop",
			short:    "end services, or a daemon, and everything that belongs to them",
			synopsis: []string{"daemonry stop [--json] NAME…", "daemonry stop [--json] --all", "daemonry stop [OPTION…] --pidfile FILE"},
			about: []string{
				"Services are ended as their descriptions say, of those named one that needs another before that, and stay down until \"daemonry start\": neither \"up\" nor the next supervisor starts what was stopped by hand. The schedule of signals holds until all processes of a service have ended, and \"daemonry signal KILL NAME\" meanwhile is the end of patience with all of them.",
				"With --pidfile: sends SIGTERM to the daemon, waits, and kills what is left: of it, of its descendants, and of its session. Returns when all of them are gone, with a line for each on standard output, and with the pid file removed.",
				"The signals go to the process that was recorded or to none, also when its pid has been given to another since.",
			},
			options: []group{{"", append(call.options(), call.option(),
				option{"signal", "SCHEDULE", "With --pidfile: signals to send before SIGKILL, each with the wait after it, as in TERM/10s/INT/5s.", string(spec.DefaultStopSignal), parsed(&call.Schedule, spec.ParseStopSchedule)},
				option{"timeout", "DURATION", "With --pidfile: the wait after a signal that names none.", spec.DefaultStopTimeout.String(), parsed(&call.Timeout, spec.ParseDuration)},
			)}},
			statuses: []row{
				{"0", "it is not running: ended now, or not running before"},
				{"1", "it could not be ended, a later command started it again, or nothing proves which process it is"},
				{"128+N", "signal N ended the wait; what was sent remains sent"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry stop web", "A service:"},
				{"daemonry stop --pidfile web.pid", "A daemon of \"daemonry detach\", politely, and then not:"},
				{"daemonry stop --signal INT/5s/TERM/5s --pidfile web.pid", "A program that wants to be interrupted:"},
			},
			seeAlso: []string{"daemonry start", "daemonry down", "daemonry signal", "daemonry status", "signal(7)"},
		},
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
		fmt.Fprintf(a.err, "%s: left alone %v, which this command runs under or started\n", program, p)
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
	all := stopped{instance: instance{Name: nameOf(call.pidfile), State: "stopped", PIDFile: call.pidfile}}
	if len(r.Left) > 0 {
		all.State = "stopping"
	}
	for _, o := range outcomes {
		all.Processes = append(all.Processes, ended{o.PID, o.Name, o.Signals, o.Ended, spec.Duration(o.After), o.Error})
	}
	return a.writeJSON([]stopped{all})
}
