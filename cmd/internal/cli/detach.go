package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/spec"
)

// detachCall is what the words of "daemonry detach" ask for.
type detachCall struct {
	detach.Options
	json, quiet bool
}

func detachVerb(a *app) *verb {
	call := &detachCall{}
	return &verb{options: detachOptions(call), leading: true, run: func(words []string) error {
		return a.detach(call, words)
	}}
}

func (a *app) detach(call *detachCall, words []string) error {
	if len(words) == 0 {
		return usagef("no program given").advise("daemonry detach [OPTION…] -- PROGRAM [ARG…]")
	}
	s, err := service(call.Service, words)
	if err != nil {
		return err
	}
	call.Service = s
	line := a.statusLine(call.quiet)
	if line != nil {
		call.Waiting = line.show
	}
	ctx, done := context.Background(), func() {}
	if s.Ready.Kind != spec.ProbeExec {
		// Otherwise nothing is waited for, and catching signals would be a tenth of the whole
		// launch.
		ctx, done = untilSignal()
	}
	defer done()
	call.Leave = true // there is nothing else to do
	result, err := detach.Run(ctx, call.Options)
	line.erase()
	if err != nil {
		return err
	}
	return a.announce(call, result)
}

// service completes and checks a description from the command line.
func service(s spec.Service, words []string) (spec.Service, error) {
	s.Name = serviceName(words[0])
	s.Command = words
	s, err := here(s)
	if err != nil {
		return s, err
	}
	if problems := s.Validate(); len(problems) > 0 {
		return s, problem(problems[0])
	}
	return s, nil
}

// serviceName is the name of a program that has been given none: its file's,
// where that is one.
func serviceName(program string) string {
	name := filepath.Base(program)
	if spec.CheckName(name) != nil {
		return "daemon"
	}
	return name
}

// announce tells of a daemon that is up. If it cannot be told, that is a failure, but
// not the daemon's, which is left running: two truths in one line.
func (a *app) announce(call *detachCall, result detach.Result) error {
	if result.Note != "" && !call.quiet {
		a.say("%s", result.Note)
	}
	var err error
	switch {
	case call.json:
		err = a.writeJSON(struct {
			PID  int           `json:"pid"`
			Took spec.Duration `json:"took"`
			Note string        `json:"note,omitempty"`
		}{result.PID, spec.Duration(result.Took), result.Note})
	case !call.quiet:
		_, err = fmt.Fprintln(a.out, result.PID)
	}
	if err != nil {
		return statusf(exitOurs, "the daemon is up as process %d, but that could not be said: %w",
			result.PID, err)
	}
	return nil
}

func detachOptions(call *detachCall) []group {
	s := &call.Service
	groups := []group{
		{"When it is ready", []option{
			{"ready", "MODE", string(spec.ProbeSettled), parsed(&s.Ready, spec.ParseProbe)},
			{"timeout", "DURATION", spec.DefaultTimeout.String(),
				parsedTo(&s.Timeout, spec.ParseDuration)},
		}},
	}
	groups = append(groups, processOptions(&s.Process)...)
	groups = append(groups, group{"How it is started", []option{
		{"pidfile-mode", "MODE", "0644", parsedTo(&call.PIDFileMode, spec.ParseMode)},
		{"argv0", "NAME", "PROGRAM", parsed(&call.Argv0, word)},
		{"pass-fd", "N", "", appended(&call.PassFDs, number)},
	}}, group{"What is said about it", []option{
		{"json", "", "", toggle(&call.json)},
		{"quiet", "", "", toggle(&call.quiet)},
	}})
	return groups
}
