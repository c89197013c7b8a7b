package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/pidfile"
)

// statusCall is what the words of "daemonry status" ask for.
type statusCall struct {
	instanceCall
	watch bool
}

func statusVerb(a *app) *verb {
	call := &statusCall{}
	return &verb{
		options: []group{
			{"", append(call.options(), option{"watch", "", "", toggle(&call.watch)})},
		},
		run: func(words []string) error { return a.status(call, words) },
	}
}

func (a *app) status(call *statusCall, words []string) error {
	switch {
	case call.pidfile != "" && len(words) > 0:
		return usagef("%q and --pidfile: name one or the other", words[0])
	case call.pidfile != "" && call.watch:
		return usagef("--watch and --pidfile: only services can be watched")
	case call.pidfile != "":
		return a.fileStatus(&call.instanceCall)
	}
	return a.serviceStatus(call, words)
}

// fileStatus is the status of the daemon of a pid file.
func (a *app) fileStatus(call *instanceCall) error {
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
		return unsaid(err)
	}
	if code := stateExit[state]; code != exitOK {
		return &statusError{status: code}
	}
	return nil
}

func (a *app) serviceStatus(call *statusCall, names []string) error {
	s, err := a.reached()
	if err != nil {
		return a.noStatus(call, err, names)
	}
	ctx, done := untilSignal()
	defer done()
	if call.watch {
		return a.watchStatus(ctx, s, call, names)
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: names, Usage: true})
	if err != nil {
		return a.noStatus(call, err, names)
	}
	if err := a.printStatus(call, list, names); err != nil {
		return unsaid(err)
	}
	if err := a.sayUnknown(ctx, s, names); err != nil {
		return failure(err, exitUnknown, nil)
	}
	if !slices.ContainsFunc(list, func(s control.Status) bool {
		return !s.Ready && (len(names) > 0 || s.Wanted)
	}) {
		return nil
	}
	return &statusError{status: exitNotRunning}
}

// sayUnknown names what runs and is described nowhere, where all is asked for.
func (a *app) sayUnknown(ctx context.Context, s *session, names []string) error {
	if len(names) > 0 {
		return nil
	}
	about, err := s.Supervisor(ctx)
	for _, u := range about.Unknown {
		a.say("%s: process %d of an earlier supervisor runs, and nothing describes the service: "+
			"it is left alone", u.Name, u.PID)
	}
	return err
}

// noStatus is the answer where nobody knows of services: nothing runs, but of one that
// is named nobody can say whether it exists.
func (a *app) noStatus(call *statusCall, err error, names []string) error {
	if !absent(err) || len(names) > 0 {
		return failure(err, exitUnknown, names)
	}
	if call.json {
		if err := a.writeJSON([]control.Status{}); err != nil {
			return unsaid(err)
		}
	}
	return failure(err, exitNotRunning, nil)
}

func (a *app) printStatus(call *statusCall, list []control.Status, names []string) error {
	if call.json {
		return a.writeJSON(list)
	}
	var b strings.Builder
	if len(list) == 0 {
		b.WriteString("no services\n")
	} else {
		b.WriteString(statusTable(list, time.Now(), a.width(), a.colours()))
	}
	for _, s := range list {
		if len(names) > 0 && !s.Ready && s.State != control.Stopped && s.Exit != nil &&
			len(s.Exit.Words) > 0 {
			fmt.Fprintf(&b, "\n%s %s, and said:\n", printable(s.Name), s.Exit.Text)
			for _, line := range s.Exit.Words {
				fmt.Fprintf(&b, "| %s\n", printable(line))
			}
		}
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// watchPeriod is how often what changes without an event, such as memory, is shown anew.
const watchPeriod = 2 * time.Second

// watchStatus shows the services again whenever something has happened to them.
func (a *app) watchStatus(ctx context.Context, s *session, call *statusCall, names []string) error {
	screen := isTerminal(a.out) && !call.json
	terminal, _ := fileOf(a.out)
	if screen {
		fmt.Fprint(terminal, enterScreen)
		defer fmt.Fprint(terminal, leaveScreen)
	}
	happened := make(chan error, 1)
	go s.tellEvents(ctx, names, happened)
	var tick <-chan time.Time // what is printed line after line waits for events alone
	if screen {
		tick = time.Tick(watchPeriod)
	}
	for {
		list, err := s.Status(ctx, control.StatusRequest{Names: names, Usage: true})
		if ctx.Err() != nil {
			return cut(ctx, err)
		}
		if err != nil {
			return a.noStatus(call, err, names)
		}
		if screen {
			fmt.Fprint(terminal, homeAndClear)
		}
		if err := a.printStatus(call, list, names); err != nil {
			return cut(ctx, err)
		}
		select {
		case <-ctx.Done():
			return cut(ctx, nil)
		case err := <-happened:
			if err != nil {
				return failure(err, exitUnknown, names)
			}
		case <-tick:
		}
	}
}

// Sequences of xterm that all terminals of today know: the alternate screen, and
// on it the place to begin (ECMA-48, CUP and ED).
const (
	enterScreen  = "\x1b[?1049h\x1b[?25l"
	leaveScreen  = "\x1b[?25h\x1b[?1049l"
	homeAndClear = "\x1b[H\x1b[J"
)

// errEnded says that the supervisor has ended, and its events with it.
var errEnded = errors.New("the supervisor has ended")

// tellEvents sends nil when something has happened, however much, and an error at the end, as long
// as ctx lasts.
func (s *session) tellEvents(ctx context.Context, names []string, happened chan<- error) {
	end := errEnded
	for _, err := range s.Events(ctx,
		control.EventsRequest{New: true, Follow: true, Names: names}) {
		if err != nil {
			end = err
			break
		}
		select {
		case happened <- nil:
		default: // it is known already that something has
		}
	}
	select {
	case happened <- end:
	case <-ctx.Done():
	}
}
