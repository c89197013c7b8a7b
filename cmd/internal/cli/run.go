package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/cmd/internal/logs/target"
	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// runCall is what the words of "daemonry run" ask for.
type runCall struct {
	fileCall
	spec.Service
	main   string
	health string
	logBudget
}

func runVerb(a *app) *verb {
	call := &runCall{}
	return &verb{
		options: runOptions(call),
		leading: true,
		run:     func(words []string) error { return a.runFile(call, words) },
		program: func(words []string) error { return a.runProgram(call, words) },
	}
}

func runOptions(call *runCall) []group {
	s := &call.Service
	groups := []group{
		{"What to run", []option{
			call.fileOption(),
			{"main", "NAME", "", parsed(&call.main, word)},
			call.logBudget.option(),
			{"health", "[HOST:]PORT", "HOST 127.0.0.1", parsed(&call.health, healthAddress)},
		}},
		{"PROGRAM: when it is ready", []option{
			{"ready", "MODE", "exec", parsed(&s.Ready, spec.ParseProbe)},
			{"timeout", "DURATION", spec.DefaultTimeout.String(),
				parsedTo(&s.Timeout, spec.ParseDuration)},
		}},
		{"PROGRAM: how it is kept and ended", []option{
			{"restart", "WHEN", string(spec.RestartNo), parsed(&s.Restart, text[spec.Restart])},
			{"stop", "SCHEDULE", string(spec.DefaultStopSignal),
				parsed(&s.Stop, spec.ParseStopSchedule)},
		}},
	}
	for _, g := range supervisedOptions(&s.Process) {
		g.title = "PROGRAM: " + lowered(g.title)
		for i := range g.options {
			if o := &g.options[i]; slices.Contains([]string{"stdin", "stdout", "stderr"}, o.name) {
				o.def = "inherit"
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func lowered(s string) string { return string(s[0]-'A'+'a') + s[1:] }

// foreground is one "daemonry run".
type foreground struct {
	a        *app
	call     *runCall
	services []spec.Service
	source   string // of the services
	main     string // "" for none
	program  bool   // there is one, and its output is ours
	settings native.Supervisor

	s *session

	end endOfRun

	// Owned by watch until the supervisor has ended.
	failed map[string]bool // services that have failed for good
	exit   *control.Exit   // of main
}

func (a *app) runFile(call *runCall, words []string) error {
	if len(words) > 0 {
		return usagef("unexpected word %q", words[0]).
			advise("daemonry run [OPTION…] -- PROGRAM [ARG…]")
	}
	if !reflect.DeepEqual(call.Service, spec.Service{}) {
		return usagef("options that describe a process need a program")
	}
	file, err := a.readSupervised(call.file)
	if err != nil {
		return err
	}
	f := &foreground{
		a: a, call: call, services: toConsole(file.Services), source: file.Path, main: call.main,
		settings: file.Supervisor,
	}
	if call.main != "" && !slices.Contains(namesOf(spec.ExpandSet(f.services)), call.main) {
		return usagef("--main: there is no service %q in %s", call.main, file.Path).
			advise(meant("%q", call.main, namesOf(f.services)))
	}
	return f.run()
}

func (a *app) runProgram(call *runCall, words []string) error {
	if len(words) == 0 || call.file != "" || call.main != "" {
		problem := "no program given"
		if len(words) > 0 {
			problem = "-f, --main and a program: name one or the other"
		}
		return usagef("%s", problem).advise("daemonry run [OPTION…] -- PROGRAM [ARG…]")
	}
	s := call.Service
	// As if it were started in our place: until it ends it is up, and what it reads and writes is
	// ours.
	if s.Ready.Kind == "" {
		s.Ready = spec.Probe{Kind: spec.ProbeExec}
	}
	if s.Restart == "" {
		s.Restart = spec.RestartNo
	}
	for _, stream := range []*spec.Stream{&s.Stdin, &s.Stdout, &s.Stderr} {
		if stream.Kind == "" {
			stream.Kind = spec.StreamInherit
		}
	}
	s, err := supervised(s, words)
	if err != nil {
		return err
	}
	s.Log.Targets = []spec.LogTarget{{Kind: spec.TargetStdout}}
	f := &foreground{a: a, call: call, services: []spec.Service{s}, source: "daemonry run",
		main: s.Name, program: true}
	return f.run()
}

// Bounds of the logs that a run keeps beside what it prints: enough for last words.
const (
	runRotateSize = spec.ByteSize(1 << 20)
	runKeep       = 1
)

// toConsole has services print on standard output that say nothing of their log.
func toConsole(services []spec.Service) []spec.Service {
	for i := range services {
		l := &services[i].Log
		if len(l.Targets) > 0 {
			continue
		}
		l.Targets = []spec.LogTarget{{Kind: spec.TargetStdout}, {Kind: spec.TargetFile}}
		if l.RotateSize == nil {
			l.RotateSize = new(runRotateSize)
		}
		if l.Keep == nil {
			l.Keep = new(runKeep)
		}
	}
	return services
}

// run is the supervisor from its birth to its end.
func (f *foreground) run() error {
	place, err := f.a.runPlace()
	if err != nil {
		return &statusError{status: exitOurs, err: err}
	}
	f.failed = map[string]bool{}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, f.signals()...)
	ready := make(chan struct{})
	o, err := f.options(place.Paths)
	if err != nil {
		return &statusError{status: exitOurs, err: errors.Join(err, place.discard(false))}
	}
	o.Displaced = place.displaced
	began := false
	o.Ready = func() error { began = true; close(ready); return nil }
	o.Deaf = true
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	f.end.stop = stop
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, o) }()
	err = f.attend(signals, ready, served)
	if running, ok := errors.AsType[*server.RunningError](err); ok && running.Dir == place.State {
		return err // what is there is that one's
	}
	if discardErr := place.discard(began); err == nil && discardErr != nil {
		return &statusError{status: exitOurs, err: discardErr}
	}
	return err
}

// attend waits until the supervisor takes requests, and has the services run.
func (f *foreground) attend(signals <-chan os.Signal, ready <-chan struct{},
	served <-chan error) error {
	for {
		select {
		case <-ready:
			return f.supervise(signals, served)
		case err := <-served:
			if errors.As(err, new(*server.RunningError)) {
				return &statusError{status: exitOurs, err: err,
					hint: "DAEMONRY_ROOT=DIR gives this one directories of its own"}
			}
			if err != nil {
				return &statusError{status: exitOurs, err: err}
			}
			return nil
		case sig := <-signals:
			if f.endsAt(sig) && f.end.asked.IsZero() {
				f.end.asked = time.Now()
				f.end.stop() // nothing has been started
			}
		}
	}
}

func (f *foreground) options(p paths.Paths) (server.Options, error) {
	f.s = &session{Client: &control.Client{Socket: p.Socket()}, paths: p}
	f.call.logBudget.over(&f.settings)
	o, err := f.a.serverOptions(p, f.settings)
	o.Pinned = true
	if file, terminal := fileOf(f.a.out); file != nil {
		o.Console = target.Console{File: file, Color: f.a.colours() != palette{},
			Bare: f.program, Screen: terminal && !f.program}
		for _, s := range spec.ExpandSet(f.services) {
			o.Console.Width = max(o.Console.Width, len(s.Name))
		}
	}
	return o, err
}

// foregroundState is the state directory of a run in the usual places.
func foregroundState(p paths.Paths) string { return filepath.Join(p.Runtime, "foreground") }

// runPlace are the directories of a run.
type runPlace struct {
	paths.Paths
	// the state of a supervisor in the background that may have had the runtime directory
	displaced string
	// What is wanted is in the file, so no state outlives the run: discard is for the end of it,
	// and is told whether it began. What was there before a run that did not begin is another's, or
	// what a killed one has left.
	discard func(began bool) error
}

// runPlace finds directories where the other commands look, or, where they cannot be made, others
// where they look as well.
func (a *app) runPlace() (runPlace, error) {
	usual, err := paths.Find()
	if err == nil {
		candidates := []paths.Paths{usual}
		if !usual.Rooted() {
			candidates = append(candidates, usual.Elsewhere())
		}
		for _, p := range candidates {
			displaced := p.State
			p.State = foregroundState(p)
			_, lookErr := os.Lstat(p.State)
			made := errors.Is(lookErr, fs.ErrNotExist)
			createErr := p.Create(nil)
			if createErr == nil {
				a.sayWhere(p.Runtime, err)
				return runPlace{p, displaced, func(began bool) error {
					if !began && !made || supervise.Owned(p.State) {
						return nil
					}
					return os.RemoveAll(p.State)
				}}, nil
			}
			err = errors.Join(err, createErr)
		}
	}
	if errors.Is(err, sys.ErrInsecure) && usual.Rooted() {
		return runPlace{}, err
	}
	p, root, tempErr := usual.Temporary(os.Getenv, nil)
	if tempErr != nil {
		return runPlace{}, errors.Join(err, tempErr)
	}
	p.State = foregroundState(p)
	if err := p.CreateState(); err != nil {
		return runPlace{}, errors.Join(err, os.RemoveAll(root))
	}
	a.sayWhere(root, err)
	return runPlace{Paths: p, discard: func(bool) error { return os.RemoveAll(root) }}, nil
}

// sayWhere says where a run's directories are, and why not where they should be.
func (a *app) sayWhere(dir string, why error) {
	if why != nil {
		fmt.Fprintf(a.err, "%s: the run's directories are in %s: %s\n", program, dir,
			oneLine(why.Error()))
	}
}

// outcome is the exit status of the run.
func (f *foreground) outcome(err error) error {
	switch {
	case err != nil:
		return &statusError{status: exitOurs, err: err}
	case f.main != "" && f.exit != nil:
		if status := f.exit.Status(); status != 0 {
			return &statusError{status: status}
		}
	case f.main != "" || len(f.failed) > 0:
		return &statusError{status: exitFailed}
	}
	return nil
}

// tellReady tells whoever waits for us that the services are up.
func (f *foreground) tellReady() {
	if err := daemonry.Ready(); err != nil {
		f.say("say that the services are ready: %s", err)
	}
}
