package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// change is what the words of a command ask of services.
type change struct {
	chosen
	json bool
}

func (c *change) options() []option {
	return []option{c.option(), {"json", "", "Print the services as \"status --json\" does.", "", toggle(&c.json)}}
}

// asked are the services that words name, and the supervisor that has them.
func (a *app) asked(c chosen, words []string) (control.Names, *session, error) {
	names, err := c.names(words)
	if err != nil {
		return names, nil, err
	}
	s, err := a.reached()
	return names, s, failure(err, exitFailed, words)
}

// changed asks for something, and prints where the services then are.
func (a *app) changed(c *change, words []string, there goal, do func(context.Context, *session, control.Names) error) error {
	names, s, err := a.asked(c.chosen, words)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	err = a.watching(ctx, s, words, there, func(ctx context.Context) error { return do(ctx, s, names) })
	if err = interrupted(ctx, err, say(names)); err != nil {
		if failures := failuresIn(err); len(failures) > 0 {
			return a.told(failures)
		}
		if ctx.Err() != nil {
			return err
		}
		return failure(err, exitFailed, words)
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: words})
	if down := there(control.Status{State: control.Stopped}); down && (absent(err) || broken(err) || errors.Is(err, control.Closing)) {
		list, err = endedWith(words), nil // the supervisor has stopped all the others too, and itself
	}
	if err != nil {
		return failure(err, exitFailed, words)
	}
	return a.printBrief(list, c.json)
}

// endedWith are services that have ended with their supervisor.
func endedWith(names []string) []control.Status {
	list := make([]control.Status, len(names))
	for i, name := range names {
		list[i] = control.Status{Name: name, State: control.Stopped, Reason: errEnded.Error()}
	}
	return list
}

// printBrief prints a line for each service.
func (a *app) printBrief(list []control.Status, asJSON bool) error {
	if asJSON {
		return a.writeJSON(list)
	}
	for _, s := range list {
		if _, err := fmt.Fprintln(a.out, printable(brief(s))); err != nil {
			return err
		}
	}
	return nil
}

// brief is a service in a line.
func brief(s control.Status) string {
	return strings.Join(append([]string{s.Name + ": " + briefState(s)}, logTrouble(s)...), "; ")
}

func briefState(s control.Status) string {
	switch {
	case s.PID != 0 && s.State == control.Ready:
		return fmt.Sprintf("ready: process %d", s.PID)
	case s.PID != 0:
		return fmt.Sprintf("%s: process %d", s.State, s.PID)
	case s.Reason != "" && s.Reason != string(s.State):
		return fmt.Sprintf("%s: %s", s.State, s.Reason)
	}
	return string(s.State)
}

// restartCall is what the words of "daemonry restart" ask for.
type restartCall struct {
	change
	rolling bool
}

func restartVerb(a *app) *verb {
	call := &restartCall{}
	return &verb{
		page: page{
			name:     "restart",
			short:    "stop services and start them again",
			synopsis: []string{"daemonry restart [--rolling] NAME…", "daemonry restart [--rolling] --all"},
			about: []string{
				"Returns when they are ready again, or have failed. One that was stopped is started. The name of a service with instances stands for all of them.",
				"With --rolling no connection is refused and no request is cut off: the new process starts beside the old one on the same sockets, must become ready, and then the old one is ended as its description says, with its time to finish. One service or instance comes after the other. If a new process does not come up, its old one goes on, those after it are not touched, and the exit status is 1. It is for services that are up and have \"sockets\" or \"overlap\" in their description.",
			},
			options: []group{{"", append([]option{
				{"rolling", "", "Start the new process first, and end the old one when the new one is ready.", "", toggle(&call.rolling)},
			}, call.options()...)}},
			statuses: launchStatuses,
			examples: []row{{"daemonry restart web", "With a new process:"}, {"daemonry restart --rolling web", "While it serves:"}},
			seeAlso:  []string{"daemonry reload", "daemonry status"},
		},
		run: func(words []string) error {
			if call.rolling {
				return a.restartRolling(call, words)
			}
			return a.changed(&call.change, words, isUp, func(ctx context.Context, s *session, n control.Names) error { return s.Restart(ctx, n) })
		},
	}
}

func (a *app) restartRolling(call *restartCall, words []string) error {
	err := a.changed(&call.change, words, isUp, func(ctx context.Context, s *session, n control.Names) error { return s.RestartRolling(ctx, n) })
	var failed *detach.Error
	if errors.As(err, &failed) {
		failed.Status = exitFailed // the service is up: it is not the status of a service that could not be started
	}
	return err
}

// launchStatuses are the exit statuses of commands that wait for services to come up.
var launchStatuses = []row{
	{"0", "all are up and ready"},
	{"1…123", "the program's own status, if it is the only one that failed"},
	{"128+N", "signal N killed it before it was ready, or ended the wait"},
	{"124", "not ready in time"},
	{"125", "it could not be started; the message says at which step"},
	{"126", "the program was found and cannot be executed"},
	{"127", "the program was not found"},
	{"1", "several failed, a later command overtook this one, there is no such service, or no supervisor"},
	{"2", "wrong usage; nothing was started"},
}

func reloadVerb(a *app) *verb {
	call := &change{}
	return &verb{
		page: page{
			name:     "reload",
			short:    "have services read their configuration again",
			synopsis: []string{"daemonry reload NAME…", "daemonry reload --all"},
			about:    []string{"By the signal or the command that the service's description has for it (\"reload\", \"reload_command\"). Returns when it is done, as far as that can be known: the command has ended well, or the signal was delivered to a process that does not ignore it; the process has outlived it, for 100ms at least; and one that answers with RELOADING=1 has said READY=1. To have the supervisor read its file again, see \"daemonry up\"."},
			options:  []group{{"", call.options()}},
			statuses: []row{
				{"0", "done"},
				{"1", "not done, by one at least; the message says why"},
				{"128+N", "signal N ended the wait"},
				{"2", "wrong usage"},
			},
			examples: []row{{"daemonry reload web", "As \"nginx -s reload\" does:"}},
			seeAlso:  []string{"daemonry restart", "daemonry up"},
		},
		run: func(words []string) error {
			return a.changed(call, words, isUp, func(ctx context.Context, s *session, n control.Names) error { return s.Reload(ctx, n) })
		},
	}
}

func removeVerb(a *app) *verb {
	call := &change{}
	return &verb{
		page: page{
			name:     "remove",
			short:    "stop services and forget them",
			synopsis: []string{"daemonry remove NAME…", "daemonry remove --all"},
			about:    []string{"Returns when nothing is left of them but their logs. One that a file describes comes back with the next \"up\"."},
			options:  []group{{"", []option{call.option()}}},
			statuses: []row{
				{"0", "they are gone"},
				{"1", "not all; the message says why"},
				{"128+N", "signal N ended the wait"},
				{"2", "wrong usage"},
			},
			examples: []row{{"daemonry remove web", "A service that is no longer wanted:"}},
			seeAlso:  []string{"daemonry stop", "daemonry down"},
		},
		run: func(words []string) error { return a.remove(call, words) },
	}
}

func (a *app) remove(call *change, words []string) error {
	names, s, err := a.asked(call.chosen, words)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	err = a.watching(ctx, s, nil, isDown, func(ctx context.Context) error { return s.Remove(ctx, names) })
	if err = interrupted(ctx, err, say(names)); err != nil && ctx.Err() == nil {
		return failure(err, exitFailed, words)
	}
	return err
}

// waitCall is what the words of "daemonry wait" ask for.
type waitCall struct {
	change
	state   control.State
	timeout *spec.Duration
}

func waitVerb(a *app) *verb {
	call := &waitCall{state: control.Ready}
	return &verb{
		page: page{
			name:     "wait",
			short:    "wait until services are ready, or stopped",
			synopsis: []string{"daemonry wait [--for STATE] [--timeout DURATION] NAME…"},
			about:    []string{"No service is started or stopped for it, and a supervisor is started only in place of one that was killed. A wait for \"ready\" ends with a failure when a service has failed for good, is stopped, or waits in vain for one that is down, however many steps away; a crash that is followed by another start is waited out."},
			options: []group{{"", append([]option{
				{"for", "STATE", "\"ready\" or \"stopped\".", "ready", parsed(&call.state, waitable)},
				{"timeout", "DURATION", "How long to wait at most.", "forever", parsedTo(&call.timeout, spec.ParseDuration)},
			}, call.options()...)}},
			statuses: []row{
				{"0", "all are in that state"},
				{"1", "one will not come there, there is no such service, or no supervisor"},
				{"124", "not in time"},
				{"128+N", "signal N ended the wait"},
				{"2", "wrong usage"},
			},
			examples: []row{{"daemonry wait --timeout 1m db", "In a script that needs a database:"}},
			seeAlso:  []string{"daemonry status", "daemonry events"},
		},
		run: func(words []string) error { return a.wait(call, words) },
	}
}

func waitable(text string) (control.State, error) {
	if s := control.State(text); s == control.Ready || s == control.Stopped {
		return s, nil
	}
	return "", &spec.HintError{Message: fmt.Sprintf("%q cannot be waited for", text), Hint: `one of "ready", "stopped"`}
}

func (a *app) wait(call *waitCall, words []string) error {
	there := isUp
	if call.state == control.Stopped {
		there = isDown
	}
	err := a.changed(&call.change, words, there, func(ctx context.Context, s *session, n control.Names) error {
		r := control.WaitRequest{Names: n, State: call.state}
		if call.timeout != nil {
			r.Timeout = *call.timeout
		}
		return s.Wait(ctx, r)
	})
	var failed *detach.Error
	if errors.As(err, &failed) {
		failed.Status = exitFailed // nothing was launched whose status it could be
	}
	return err
}

func (a *app) stopServices(call *stopCall, names []string) error {
	if len(call.Schedule) > 0 || call.Timeout != 0 {
		e := usagef("", "--signal and --timeout are for --pidfile")
		e.hint = "how a service is ended is in its description: stop, stop_timeout"
		return e
	}
	return a.changed(&change{call.chosen, call.json}, names, isDown, func(ctx context.Context, s *session, n control.Names) error {
		return s.Stop(ctx, n)
	})
}

func (a *app) signalServices(call *signalCall, sig spec.Signal, names []string) error {
	n, s, err := a.asked(call.chosen, names)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	if err := s.Signal(ctx, control.SignalRequest{Names: n, Signal: sig}); err != nil {
		return failure(err, exitFailed, names)
	}
	if !call.json {
		return nil
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: names})
	if err != nil {
		return failure(err, exitFailed, names)
	}
	return a.writeJSON(list)
}
