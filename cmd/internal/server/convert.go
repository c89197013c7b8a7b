package server

import (
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// What the engine says, in the words of the API.

func stateOf(s supervise.State) control.State { return control.State(s.String()) }

func (a *api) statusOf(s supervise.Status) control.Status {
	st := control.Status{
		Name: s.Name, State: stateOf(s.State), PID: s.PID, Ready: s.Ready, Restarts: s.Restarts, Since: s.Since,
		Exit: exitOf(s.Exit), Reason: s.Reason, Wanted: s.Wanted, Held: s.Held, Description: s.Description,
		Started: s.Started, Next: s.Next, Text: s.Text, LogError: s.LogError, Source: s.Source, Labels: s.Labels,
	}
	if st.Since.IsZero() { // it has been where it is since the supervisor took it in
		st.Since = a.started
	}
	return st
}

func exitOf(x *supervise.Exit) *control.Exit {
	if x == nil {
		return nil
	}
	e := &control.Exit{
		Code: x.Code, Core: x.Core, OOM: x.OOM, Unknown: x.Unknown, Text: x.String(), At: x.At, User: spec.Duration(x.Usage.User),
		System: spec.Duration(x.Usage.System), MaxRSS: x.Usage.MaxRSS, Words: x.Words,
	}
	if x.Signal != 0 {
		e.Signal = spec.SignalOf(x.Signal)
	}
	return e
}

func eventOf(ev supervise.Event) control.Event {
	e := control.Event{
		ID: ev.ID, Time: ev.Time, Kind: control.EventKind(ev.Kind), Service: ev.Service,
		PID: ev.PID, Reason: ev.Reason, Exit: exitOf(ev.Exit),
	}
	if ev.Service != "" {
		e.State = stateOf(ev.State)
	}
	if ev.Kind == supervise.EventState {
		e.From = stateOf(ev.From)
	}
	return e
}

func planOf(plan []supervise.Planned) []control.Planned {
	list := make([]control.Planned, len(plan))
	for i, p := range plan {
		list[i] = control.Planned{Name: p.Name, Action: control.Action(p.Action), Fields: p.Fields, Environ: p.Environ, Held: p.Held}
	}
	return list
}
