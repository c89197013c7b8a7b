package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/spec"
)

// fileCall is what the words of commands ask for that take a file of services.
type fileCall struct {
	file       string
	json, plan bool
}

func (c *fileCall) fileOption() option {
	return option{"f, file", "FILE", "The file, or a directory with a daemonry.toml in it.", "./daemonry.toml, else that of the configuration directory", parsed(&c.file, word)}
}

func upVerb(a *app) *verb {
	call := &fileCall{}
	return &verb{
		page: page{
			name:     "up",
			short:    "make reality match a file of services",
			synopsis: []string{"daemonry up [-f FILE] [--plan] [--json]"},
			about: []string{
				"Reads the file and touches only what has changed: adds and starts what is new, stops and forgets what is no longer there, gives a new process to what could not have its change otherwise. A service that was stopped by hand stays so, and an error in the file changes nothing. Services inherit the environment of this command, without what belongs to a terminal, a shell or a login (docs/service.md), and keep it; where only that has changed, a process that runs is left alone and the next one has it.",
				"Services start together as far as their dependencies allow. Returns when each that is to be up is ready or has failed, whoever started it, and what is no longer there is gone, with a line for each. One that crashes on its way up and is started again is waited for within its timeout, for ten seconds at most. The supervisor is started if there is none.",
			},
			options: []group{{"", []option{
				call.fileOption(),
				{"plan", "", "Print what would be done, and do it to no service. No supervisor is started for it, except in place of one that was killed, whose services the new one takes over.", "", toggle(&call.plan)},
				{"json", "", "Print an array of objects.", "", toggle(&call.json)},
			}}},
			statuses: []row{
				{"0", "everything that is to be up is ready"},
				{"1", "something is not, a later command overtook this one, or the file is wrong; the messages say why"},
				{"125", "the supervisor could not be started"},
				{"128+N", "signal N ended the wait; what was begun goes on"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry up", "With the file of this directory:"},
				{"daemonry up --plan -f web.toml", "What would become of another:"},
			},
			seeAlso: []string{"daemonry down", "daemonry validate", "daemonry status", "docs/service.md"},
		},
		run: func(words []string) error { return a.up(call, words) },
	}
}

// outcome is a service after "up".
type outcome struct {
	control.Planned
	// Status is nil for what has been removed, and in a plan.
	Status *control.Status `json:"status,omitempty"`
}

// sayUnread says that settings of the supervisor in a file have no effect: it reads its own when it
// starts.
func (a *app) sayUnread(file *native.File) {
	p, err := paths.Find()
	if file.Supervisor == (native.Supervisor{}) || err == nil && file.Path == filepath.Join(p.Config, native.DefaultName) {
		return
	}
	fmt.Fprintf(a.err, "%s: %s: [supervisor] has no effect here: the supervisor reads %s in its configuration directory when it starts\n",
		program, file.Path, native.DefaultName)
}

func (a *app) up(call *fileCall, words []string) error {
	if len(words) > 0 {
		return usagef("", "unexpected word %q", words[0])
	}
	file, err := a.readSupervised(call.file)
	if err != nil {
		return err
	}
	a.sayUnread(file)
	ctx, done := untilSignal()
	defer done()
	request := control.ApplyRequest{Services: listed(file.Services), Source: file.Path, Environ: environ(false), Plan: call.plan}
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
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx, err, strings.Join(names, ", "))
	case err != nil && len(failures) == 0:
		return failure(err, exitFailed, nil)
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

// listed is never nil: no services at all is a request like another, to the API too.
func listed(services []spec.Service) []spec.Service {
	if services == nil {
		return []spec.Service{}
	}
	return services
}

func namesOf(services []spec.Service) []string {
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	return names
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
		line := fmt.Sprintf("%-*s  %s%-9s%s  %s", width, printable(o.Name), colour, what, p.reset, printable(o.detail()))
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
	control.ActionUpdate: "updated", control.ActionStart: "started", control.ActionNone: "unchanged",
}

// done is what was done to a service in a word, and its colour.
func (o outcome) done(p palette, planned bool) (colour, what string) {
	what = string(o.Action)
	if !planned || o.Action == control.ActionNone {
		what = firstOf(pastOf[o.Action], what)
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

func downVerb(a *app) *verb {
	call := &fileCall{}
	return &verb{
		page: page{
			name:     "down",
			short:    "stop and forget the services of a file",
			synopsis: []string{"daemonry down [-f FILE]"},
			about: []string{
				"Ends what \"up\" took in from the file, those that need another one before it, and forgets it; its logs stay. Other services are not touched. The file need not be there any more.",
			},
			options: []group{{"", []option{call.fileOption()}}},
			statuses: []row{
				{"0", "nothing of it is left"},
				{"1", "not all is gone; the message says why"},
				{"128+N", "signal N ended the wait; what was begun goes on"},
				{"2", "wrong usage"},
			},
			examples: []row{{"daemonry down", "The opposite of \"daemonry up\":"}},
			seeAlso:  []string{"daemonry up", "daemonry stop", "daemonry supervisor"},
		},
		run: func(words []string) error { return a.down(call, words) },
	}
}

func (a *app) down(call *fileCall, words []string) error {
	if len(words) > 0 {
		return usagef("", "unexpected word %q", words[0])
	}
	ctx, done := untilSignal()
	defer done()
	s, err := a.reached()
	var list []control.Status
	if err == nil {
		list, err = s.Status(ctx, control.StatusRequest{})
	}
	if err != nil && !absent(err) {
		return failure(err, exitFailed, nil)
	}
	source, err := sourceOf(call.file, list)
	if err != nil {
		return err
	}
	var names []string
	for _, st := range list {
		if st.Source == source {
			names = append(names, st.Name)
		}
	}
	if len(names) == 0 {
		_, err := fmt.Fprintf(a.out, "no services of %s\n", source)
		return err
	}
	err = a.watching(ctx, s, nil, isDown, func(ctx context.Context) error { return s.Remove(ctx, control.Named(names...)) })
	if err != nil {
		if ctx.Err() != nil {
			return interrupted(ctx, err, strings.Join(names, ", "))
		}
		return failure(err, exitFailed, nil)
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(a.out, "%s: removed\n", name); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf is the file whose services are meant, which need not be there any more: then those that
// were taken in from it tell.
func sourceOf(given string, list []control.Status) (string, error) {
	gone := given
	if given == "" {
		gone = native.DefaultName
	}
	gone, err := filepath.Abs(gone)
	if err != nil {
		return "", err
	}
	for _, path := range []string{gone, filepath.Join(gone, native.DefaultName)} {
		if slices.ContainsFunc(list, func(s control.Status) bool { return s.Source == path }) {
			return path, nil
		}
	}
	path, err := chooseFile(given)
	if given != "" && errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return path, err
}
