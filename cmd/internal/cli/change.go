package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/control"
)

// change is what the words of a command ask of services.
type change struct {
	chosen
	json bool
}

func (c *change) options() []option {
	return []option{c.option(), {"json", "", "", toggle(&c.json)}}
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

// request is what is asked of a supervisor for some of its services, as its client has it.
type request func(*session, context.Context, control.Names) error

// changed asks for something, and prints where the services then are.
func (a *app) changed(c *change, words []string, there goal, do request) error {
	names, s, err := a.asked(c.chosen, words)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	err = a.watching(ctx, s, words, there, func(ctx context.Context) error {
		return do(s, ctx, names)
	})
	if failures := failuresIn(err); len(failures) > 0 && ctx.Err() == nil {
		return a.told(failures)
	}
	if err != nil {
		return unawaited(ctx, err, say(names), words)
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: words})
	if down := there(control.Status{State: control.Stopped}); down && (absent(err) || broken(err) ||
		errors.Is(err, control.Closing)) {
		// the supervisor has stopped all the others too, and itself
		list, err = endedWith(words), nil
	}
	if err != nil {
		return failure(err, exitFailed, words)
	}
	return a.printBrief(list, c.json)
}

// endedWith are services that have ended with their supervisor.
func endedWith(names []string) []control.Status {
	return each(names, func(name string) control.Status {
		return control.Status{Name: name, State: control.Stopped, Reason: errEnded.Error()}
	})
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

// chosen are the services that a command line names.
type chosen struct {
	all bool
}

func (c *chosen) option() option {
	return option{"all", "", "", toggle(&c.all)}
}

func (c *chosen) names(words []string) (control.Names, error) {
	switch {
	case c.all && len(words) > 0:
		return control.Names{}, usagef("%q and --all: name one or the other", words[0])
	case !c.all && len(words) == 0:
		return control.Names{}, usagef("no service named")
	}
	if slices.Contains(words, "") {
		return control.Names{}, usagef("the name of a service is empty")
	}
	return control.Names{Names: words, All: c.all}, nil
}

// say is what the services are called in a message.
func say(n control.Names) string {
	if n.All {
		return "all services"
	}
	return strings.Join(n.Names, ", ")
}
