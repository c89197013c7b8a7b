package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

func upVerb(a *app) *verb {
	call := &fileCall{}
	return &verb{
		options: []group{{"", []option{
			call.fileOption(),
			{"plan", "", "", toggle(&call.plan)},
			{"json", "", "", toggle(&call.json)},
		}}},
		run: func(words []string) error { return a.up(call, words) },
	}
}

// outcome is a service after "up".
type outcome struct {
	control.Planned
	// Status is nil for what has been removed, and in a plan.
	Status *control.Status `json:"status,omitempty"`
}

func (a *app) up(call *fileCall, words []string) error {
	if len(words) > 0 {
		return usagef("unexpected word %q", words[0])
	}
	file, err := a.readSupervised(call.file)
	if err != nil {
		return err
	}
	a.sayUnread(file)
	ctx, done := untilSignal()
	defer done()
	request := control.ApplyRequest{Services: listed(file.Services), Source: file.Path,
		Environ: environ(false), Plan: call.plan}
	if call.plan {
		return a.plan(ctx, call, request)
	}
	s, err := a.ensured(ctx)
	if err != nil {
		return err
	}
	var plan []control.Planned
	names := namesOf(request.Services)
	err = a.watching(ctx, s, nil, isUp, func(ctx context.Context) (err error) {
		plan, err = s.Apply(ctx, request)
		return err
	})
	failures := failuresIn(err)
	if ctx.Err() != nil || err != nil && len(failures) == 0 {
		return unawaited(ctx, err, strings.Join(names, ", "), nil)
	}
	list, err := s.Status(ctx, control.StatusRequest{})
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	if err := a.printOutcomes(call, plan, list); err != nil {
		return err
	}
	if len(failures) == 0 {
		return nil
	}
	err = a.told(failures)
	a.explain(program, err)
	return &statusError{status: exitFailed}
}

// plan prints what would be done. Where no supervisor is, all is new.
func (a *app) plan(ctx context.Context, call *fileCall, request control.ApplyRequest) error {
	s, err := a.reached()
	var plan []control.Planned
	if err == nil {
		plan, err = s.Apply(ctx, request)
	}
	if absent(err) {
		for _, one := range spec.ExpandSet(request.Services) {
			plan = append(plan, control.Planned{Name: one.Name, Action: control.ActionAdd})
		}
	} else if err != nil {
		return failure(err, exitFailed, nil)
	}
	return a.printOutcomes(call, plan, nil)
}

// printOutcomes prints a line for each service: what was done, or would be, and where it is.
func (a *app) printOutcomes(call *fileCall, plan []control.Planned, list []control.Status) error {
	now := map[string]*control.Status{}
	for i := range list {
		now[list[i].Name] = &list[i]
	}
	outcomes := make([]outcome, len(plan))
	width := 0
	for i, p := range plan {
		outcomes[i] = outcome{Planned: p, Status: now[p.Name]}
		width = max(width, utf8.RuneCountInString(p.Name))
	}
	if call.json {
		return a.writeJSON(outcomes)
	}
	p := a.colours()
	for _, o := range outcomes {
		colour, what := o.done(p, call.plan)
		line := fmt.Sprintf("%-*s  %s%-9s%s  %s", width, printable(o.Name), colour, what, p.reset,
			printable(o.detail()))
		if _, err := fmt.Fprintln(a.out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	if len(outcomes) == 0 {
		_, err := fmt.Fprintln(a.out, "no services")
		return err
	}
	return nil
}

var pastOf = map[control.Action]string{
	control.ActionAdd: "added", control.ActionRemove: "removed", control.ActionRestart: "restarted",
	control.ActionUpdate: "updated", control.ActionStart: "started",
	control.ActionNone: "unchanged",
}

// done is what was done to a service in a word, and its colour.
func (o outcome) done(p palette, planned bool) (colour, what string) {
	what = string(o.Action)
	if !planned || o.Action == control.ActionNone {
		what = cmp.Or(pastOf[o.Action], what)
	}
	switch {
	case o.Status == nil || o.Action == control.ActionNone && o.Status.Ready:
		colour = p.dim
	default:
		colour = p.of(o.Status.State)
	}
	return colour, what
}

// detail is what else is to be said.
func (o outcome) detail() string {
	var parts []string
	if o.Status != nil {
		_, state, _ := strings.Cut(brief(*o.Status), ": ")
		parts = append(parts, state)
	}
	if len(o.Fields) > 0 {
		parts = append(parts, "changed: "+strings.Join(o.fields(), ", "))
	}
	if o.Held {
		parts = append(parts, "held: it was stopped by hand")
	}
	return strings.Join(parts, "; ")
}

// mostVariables are named of an environment that changed.
const mostVariables = 8

// fields are those that changed, with the names of the variables that did. Their values are
// nobody's business.
func (o outcome) fields() []string {
	fields := slices.Clone(o.Fields)
	names := o.Environ[:min(len(o.Environ), mostVariables)]
	if i := slices.Index(fields, "environment"); i >= 0 && len(names) > 0 {
		fields[i] += " (" + strings.Join(names, ", ")
		if more := len(o.Environ) - len(names); more > 0 {
			fields[i] += fmt.Sprintf(" and %d more", more)
		}
		fields[i] += ")"
	}
	return fields
}
