package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// startCall is what the words of "daemonry start" ask for.
type startCall struct {
	change
	spec.Service
}

func startVerb(a *app) *verb {
	call := &startCall{}
	return &verb{
		options: startOptions(call),
		leading: true,
		run:     func(words []string) error { return a.startNamed(call, words) },
		program: func(words []string) error { return a.startProgram(call, words) },
	}
}

func startOptions(call *startCall) []group {
	s := &call.Service
	groups := []group{
		{"Which service", append([]option{
			{"name", "NAME", "the program's file name", parsed(&s.Name, word)},
			{"description", "TEXT", "", parsed(&s.Description, word)},
		}, call.options()...)},
		{"When it is ready", []option{
			{"ready", "MODE", string(spec.ProbeSettled), parsed(&s.Ready, spec.ParseProbe)},
			{"timeout", "DURATION", spec.DefaultTimeout.String(),
				parsedTo(&s.Timeout, spec.ParseDuration)},
		}},
	}
	groups = append(groups, keptOptions(s)...)
	return append(groups, supervisedOptions(&s.Process)...)
}

func (a *app) startNamed(call *startCall, words []string) error {
	// "start ./web" without "--" is most often a program.
	program := slices.IndexFunc(words, func(w string) bool { return spec.CheckName(w) != nil })
	usage := "daemonry start [OPTION…] -- PROGRAM [ARG…]"
	switch {
	case !reflect.DeepEqual(call.Service, spec.Service{}):
		return usagef("options that describe a service need a program").advise(usage)
	case program >= 0:
		return usagef("%q is not the name of a service", words[program]).advise(usage)
	}
	names, err := call.names(words)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	s, err := a.ensured(ctx)
	if err != nil {
		return err
	}
	err = a.watching(ctx, s, words, isUp, func(ctx context.Context) error {
		return s.Start(ctx, names)
	})
	return a.launched(ctx, s, err, names, call.json)
}

// launched tells how services that were to come up did.
func (a *app) launched(ctx context.Context, s *session, err error, names control.Names,
	asJSON bool) error {
	if err := interrupted(ctx, err, say(names)); err != nil {
		switch failures := failuresIn(err); {
		case ctx.Err() != nil:
			return err
		case len(failures) > 0:
			return a.told(failures)
		case errors.Is(err, control.NotSaved): // but up
			list, statusErr := s.Status(ctx, control.StatusRequest{Names: names.Names})
			if statusErr == nil {
				err = errors.Join(err, a.printBrief(list, asJSON))
			}
		}
		return failure(err, exitFailed, names.Names)
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: names.Names})
	if err != nil {
		return failure(err, exitFailed, names.Names)
	}
	return a.printBrief(list, asJSON)
}

func (a *app) startProgram(call *startCall, words []string) error {
	if call.all {
		return usagef("--all and a program: name one or the other")
	}
	if len(words) == 0 {
		return usagef("no program given").advise("daemonry start [OPTION…] -- PROGRAM [ARG…]")
	}
	described, err := supervised(call.Service, words)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	s, err := a.ensured(ctx)
	if err != nil {
		return err
	}
	// What is not on disk is there all the same: it is started, and the answer to that says that it
	// is not on disk.
	if err := s.take(ctx, described); err != nil && !errors.Is(err, control.NotSaved) {
		return failure(err, exitOurs, nil)
	}
	names := control.Named(described.Name)
	err = a.watching(ctx, s, names.Names, isUp, func(ctx context.Context) error {
		return s.Start(ctx, names)
	})
	return a.launched(ctx, s, err, names, call.json)
}

// take adds a service from the command line, or describes it anew.
func (s *session) take(ctx context.Context, described spec.Service) error {
	list, err := s.Status(ctx, control.StatusRequest{})
	if err != nil {
		return err
	}
	for _, there := range list {
		base, _, _ := strings.Cut(there.Name, "@")
		if there.Source != "" && (there.Name == described.Name || base == described.Name) {
			return &control.Error{
				Message: fmt.Sprintf("%s: there is a service of this name, described in %s",
					described.Name, there.Source),
				Hint: "choose another with --name, or change the file and call \"daemonry up\"",
				Code: control.NotDone,
			}
		}
	}
	_, err = s.Apply(ctx, control.ApplyRequest{Services: []spec.Service{described},
		Environ: environ(false), NoStart: true})
	return err
}

// supervised completes and checks the description of a service on the command line. It works in
// the directory it is called in, as it would without us.
func supervised(s spec.Service, words []string) (spec.Service, error) {
	s.Command = words
	if s.Name == "" {
		s.Name = serviceName(words[0])
	}
	if s.Chdir == "" && s.Chroot == "" {
		dir, err := os.Getwd()
		if err != nil {
			return s, statusf(exitOurs, "the working directory, which would be the service's, "+
				"cannot be found: %w", err).advise("name another with --chdir")
		}
		s.Chdir = dir
	}
	s, err := here(s)
	if err != nil {
		return s, err
	}
	// Whether the user exists is said by the start, with the status for it.
	problems := append(s.Validate(), s.WithoutEffect()...)
	problems = append(problems, spec.ValidateSupervised([]spec.Service{s}, nil, "")...)
	if len(problems) > 0 {
		return s, problem(problems[0])
	}
	return s, nil
}
