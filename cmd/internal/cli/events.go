package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/daemonry/daemonry/control"
)

// eventsCall is what the words of "daemonry events" ask for.
type eventsCall struct {
	follow, json bool
}

func eventsVerb(a *app) *verb {
	call := &eventsCall{}
	return &verb{
		options: []group{{"", []option{
			{"f, follow", "", "", toggle(&call.follow)},
			{"json", "", "", toggle(&call.json)},
		}}},
		run: func(words []string) error { return a.events(call, words) },
	}
}

func (a *app) events(call *eventsCall, names []string) error {
	s, err := a.reached()
	if err != nil {
		return failure(err, exitFailed, names)
	}
	ctx, done := untilSignal()
	defer done()
	if err := s.known(ctx, names); err != nil {
		return failure(err, exitFailed, names)
	}
	p := a.colours()
	for ev, err := range s.Events(ctx, control.EventsRequest{Follow: call.follow, Names: names}) {
		switch {
		case ctx.Err() != nil:
			return cut(ctx, err)
		case err != nil:
			return failure(err, exitFailed, names)
		case call.json:
			err = a.writeJSON(ev)
		default:
			_, err = fmt.Fprint(a.out, eventText(ev, p))
		}
		if err != nil {
			return cut(ctx, err)
		}
	}
	return cut(ctx, nil)
}

// known says which name is that of no service.
func (s *session) known(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	_, err := s.Status(ctx, control.StatusRequest{Names: names})
	return err
}

// eventTime is local, because so is the clock of whoever looks for the cause.
const eventTime = "2006-01-02 15:04:05.000"

// eventText is an event as people read it: a line, and the last words of what ended.
func eventText(ev control.Event, p palette) string {
	var b strings.Builder
	colour, what := eventWhat(ev, p)
	fmt.Fprintf(&b, "%s%s%s  %-12s  %s%-8s%s  %s\n",
		p.dim, ev.Time.Local().Format(eventTime), p.reset,
		printable(cmp.Or(ev.Service, "-")), colour, what, p.reset, printable(eventReason(ev)))
	if ev.Exit != nil {
		for _, line := range ev.Exit.Words {
			fmt.Fprintf(&b, "%s| %s\n", strings.Repeat(" ", len(eventTime)+2), printable(line))
		}
	}
	return b.String()
}

// eventWhat is the one word for an event: the state for a change of state, else the kind.
func eventWhat(ev control.Event, p palette) (colour, what string) {
	switch {
	case ev.Kind == control.EventState:
		return p.of(ev.State), string(ev.State)
	case ev.Kind == control.EventExit && ev.Exit != nil &&
		(ev.Exit.Code != 0 || ev.Exit.Signal != ""):
		return p.bad, string(ev.Kind)
	case ev.Kind == control.EventTrouble, ev.Kind == control.EventMissed:
		return p.bad, string(ev.Kind)
	}
	return "", string(ev.Kind)
}

func eventReason(ev control.Event) string {
	if ev.Exit == nil {
		if ev.Kind == control.EventState && ev.Reason == "" {
			return "was " + string(ev.From)
		}
		return ev.Reason
	}
	x := ev.Exit
	used := "cpu " + cpuTime(time.Duration(x.User+x.System))
	if x.MaxRSS > 0 {
		used += ", memory " + bytesText(x.MaxRSS)
	}
	return fmt.Sprintf("%s %s (%s)", whose(ev), x.Text, used)
}

// whose is the process whose end an event tells. Of one that ended while no supervisor ran there
// may be no number left.
func whose(ev control.Event) string {
	if ev.PID == 0 {
		return "its process"
	}
	return fmt.Sprintf("process %d", ev.PID)
}
