package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
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
		page:    startPage(call),
		leading: true,
		run:     func(words []string) error { return a.startNamed(call, words) },
		program: func(words []string) error { return a.startProgram(call, words) },
	}
}

func startPage(call *startCall) page {
	s := &call.Service
	groups := []group{
		{"Which service", append([]option{
			{"name", "NAME", "Call it NAME.", "the program's file name", parsed(&s.Name, word)},
			{"description", "TEXT", "What it is, for people.", "", parsed(&s.Description, word)},
		}, call.options()...)},
		{"When it is ready", []option{
			{"ready", "MODE", "How it shows that it came up; see \"daemonry detach --help\", READINESS.", string(spec.ProbeSettled), parsed(&s.Ready, spec.ParseProbe)},
			{"timeout", "DURATION", "Time until it must be ready, \"forever\" for no limit. What is not ready by then is ended.", spec.DefaultTimeout.String(), parsedTo(&s.Timeout, spec.ParseDuration)},
		}},
	}
	groups = append(groups, keptOptions(s)...)
	return page{
		name:     "start",
		short:    "start a service, and say when it is ready",
		synopsis: []string{"daemonry start [OPTION…] -- PROGRAM [ARG…]", "daemonry start NAME…", "daemonry start --all"},
		about: []string{
			"Has the supervisor start PROGRAM and keep it running, or services that it knows by their names, with those that they require or want. Returns when they are ready, or have failed: the exit status and standard error say how, with the program's last words. What has failed is tried again as --restart says.",
			"The supervisor is started if there is none, as a daemon of its own: it survives the terminal and the login. There is one for each user. PROGRAM gets the environment of this command, without what belongs to a terminal, a shell or a login (docs/service.md); --env adds to it. It keeps it, over restarts, kills of the supervisor and reboots, until it is described anew.",
			"A service of that name that was started from a command line is described anew, and gets a new process if the description or the environment has changed. One from a file is left alone, and the command fails.",
		},
		options:  append(groups, supervisedOptions(&s.Process)...),
		statuses: launchStatuses,
		examples: []row{
			{"daemonry start -- ./web --port 8080", "A program of this directory, as the service \"web\":"},
			{"daemonry start --name db --restart always -- ./database", "One that is restarted even after a good end:"},
			{"daemonry start db web", "Services that were stopped:"},
		},
		seeAlso: []string{"daemonry up", "daemonry status", "daemonry logs", "daemonry stop", "docs/supervisor.md"},
	}
}

// keptOptions say how a service is kept running, in its own fields' names.
func keptOptions(s *spec.Service) []group {
	return []group{
		{"How it is kept running", []option{
			{"restart", "WHEN", "After which ends to start it again: \"no\", \"on-failure\" or \"always\".", string(spec.RestartOnFailure), parsed(&s.Restart, text[spec.Restart])},
			{"budget", "N", "How many restarts within " + spec.DefaultBudgetWindow.String() + " are enough; -1 for any number.", strconv.Itoa(spec.DefaultBudgetRestarts), parsedTo(&s.Budget.Restarts, number)},
			{"backoff", "FIRST[/CAP]", "The delay before a restart that follows a restart, and what it grows to.", spec.DefaultBackoffFirst.String() + "/" + spec.DefaultBackoffCap.String(), addBackoff(&s.Backoff)},
			{"liveness", "PROBE", "Ask it while it is ready, by tcp, unix, http, cmd or file as in --ready; what does not answer three times is restarted.", "", parsed(&s.Liveness.Check, spec.ParseProbe)},
			{"liveness-interval", "DURATION", "How often to ask.", spec.DefaultLivenessInterval.String(), parsedTo(&s.Liveness.Interval, spec.ParseDuration)},
			{"success", "END,…", "Exit codes and signals that are no failure, besides 0.", "", addExits(&s.Success)},
			{"watchdog", "DURATION", "Restart it when it sends no WATCHDOG=1 for so long.", "", parsed(&s.Watchdog, spec.ParseDuration)},
			{"notify-access", "WHOSE", "Whose messages of sd_notify(3) count: \"none\", \"main\", \"exec\" or \"all\".", string(spec.NotifyMain), parsed(&s.NotifyAccess, text[spec.NotifyAccess])},
			{"instances", "N", "Start N of it, as NAME@1 to NAME@N; \"{instance}\" in texts is the number, \"{instance+8080}\" the number plus 8080.", "", parsed(&s.Instances, number)},
			{"type", "TYPE", "\"daemon\", or \"oneshot\" for what runs to its end.", string(spec.Daemon), parsed(&s.Type, text[spec.Type])},
			{"remain", "", "Let a oneshot count as up after it has done its work.", "", toggle(&s.Remain)},
		}},
		{"What it may use, with all it starts", []option{
			{"memory-restart", "SIZE", "Restart it in good order when it uses more memory.", "", parsed(&s.Limits.MemoryRestart, spec.ParseByteSize)},
			{"memory", "SIZE", "Give it no more memory: the kernel kills. This and what follows needs a control group with the controller.", "", parsed(&s.Limits.Memory, spec.ParseByteSize)},
			{"cpus", "N", "Give it no more processor time: 1.5 is one and a half.", "", parsed(&s.Limits.CPUs, fraction)},
			{"tasks", "N", "Give it no more threads and processes.", "", parsed(&s.Limits.Tasks, number)},
		}},
		{"How it ends and reloads", []option{
			{"stop", "SCHEDULE", "Signals to end it, each with the wait after it, as in TERM/10s/INT/5s; then KILL.", string(spec.DefaultStopSignal), parsed(&s.Stop, spec.ParseStopSchedule)},
			{"stop-timeout", "DURATION", "The wait after a signal that names none.", spec.DefaultStopTimeout.String(), parsedTo(&s.StopTimeout, spec.ParseDuration)},
			{"stop-to", "WHO", "Who gets the signals: \"main\", or \"all\" of its processes.", string(spec.StopMain), parsed(&s.StopTo, text[spec.StopTo])},
			{"stop-command", "COMMAND", "A command to run, with MAINPID in its environment, before the first signal, which follows as soon as it has ended.", "", parsed(&s.StopCommand, spec.ParseCommand)},
			{"reload-command", "COMMAND", "A command for \"daemonry reload\", in place of a signal.", "", parsed(&s.ReloadCommand, spec.ParseCommand)},
			{"reload", "SIGNAL", "The signal for \"daemonry reload\".", "", parsed(&s.Reload, spec.ParseSignal)},
		}},
		{"What comes before it", []option{
			{"requires", "NAME,…", "Services that are started too, and must be ready first.", "", addList(&s.Requires)},
			{"wants", "NAME,…", "Services that are started too, and may fail.", "", addList(&s.Wants)},
			{"after", "NAME,…", "Services that come first if they are started at all.", "", addList(&s.After)},
		}},
	}
}

// addBackoff takes the first delay, and after a slash the longest.
func addBackoff(dst *spec.Backoff) func(string) error {
	return func(text string) error {
		first, longest, both := strings.Cut(text, "/")
		if err := parsedTo(&dst.First, spec.ParseDuration)(first); err != nil || !both {
			return err
		}
		return parsedTo(&dst.Cap, spec.ParseDuration)(longest)
	}
}

func fraction(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

// text is a word out of a list that the validation of the whole description knows.
func text[T ~string](t string) (T, error) {
	w, err := word(t)
	return T(w), err
}

// addExits takes exit codes and names of signals apart at commas.
func addExits(dst *spec.ExitSet) func(string) error {
	return func(text string) error {
		for one := range strings.SplitSeq(text, ",") {
			if code, err := strconv.Atoi(one); err == nil {
				dst.Codes = append(dst.Codes, code)
				continue
			}
			sig, err := spec.ParseSignal(one)
			if err != nil {
				return err
			}
			dst.Signals = append(dst.Signals, sig)
		}
		return nil
	}
}

// supervisedOptions are the process options of "detach", where a supervisor makes them mean
// something else. Locks on files are not among them: the name of a service is one.
func supervisedOptions(p *spec.Process) []group {
	groups := processOptions(p)
	for n := range groups {
		g := &groups[n]
		g.options = slices.DeleteFunc(g.options, func(o option) bool { return o.name == "pidfile" || o.name == "lockfile" })
		for i := range g.options {
			o := &g.options[i]
			switch o.name {
			case "stdout":
				o.text, o.def = "Standard output: \"log\", a path to append to, \"truncate:PATH\" or \"null\".", "log"
				o.set = parsed(&p.Stdout, spec.ParseStream)
			case "stderr":
				o.text, o.def = "Standard error: the same, or \"stdout\".", "log"
				o.set = parsed(&p.Stderr, spec.ParseStream)
			case "chdir":
				o.def = "where you are"
			}
		}
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.options) == 0 })
}

func (a *app) startNamed(call *startCall, words []string) error {
	// "start ./web" without "--" is most often a program.
	program := slices.IndexFunc(words, func(w string) bool { return spec.CheckName(w) != nil })
	if described := !reflect.DeepEqual(call.Service, spec.Service{}); described || program >= 0 {
		e := usagef("", "options that describe a service need a program")
		if !described {
			e = usagef("", "%q is not the name of a service", words[program])
		}
		e.hint = "daemonry start [OPTION…] -- PROGRAM [ARG…]"
		return e
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
	err = a.watching(ctx, s, words, isUp, func(ctx context.Context) error { return s.Start(ctx, names) })
	return a.launched(ctx, s, err, names, call.json)
}

// launched tells how services that were to come up did.
func (a *app) launched(ctx context.Context, s *session, err error, names control.Names, asJSON bool) error {
	if err := interrupted(ctx, err, say(names)); err != nil {
		switch failures := failuresIn(err); {
		case ctx.Err() != nil:
			return err
		case len(failures) > 0:
			return a.told(failures)
		case errors.Is(err, control.NotSaved): // but up
			if list, statusErr := s.Status(ctx, control.StatusRequest{Names: names.Names}); statusErr == nil {
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
		return usagef("", "--all and a program: name one or the other")
	}
	if len(words) == 0 {
		e := usagef("", "no program given")
		e.hint = "daemonry start [OPTION…] -- PROGRAM [ARG…]"
		return e
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
	err = a.watching(ctx, s, names.Names, isUp, func(ctx context.Context) error { return s.Start(ctx, names) })
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
				Message: fmt.Sprintf("%s: there is a service of this name, described in %s", described.Name, there.Source),
				Hint:    "choose another with --name, or change the file and call \"daemonry up\"",
				Code:    control.NotDone,
			}
		}
	}
	_, err = s.Apply(ctx, control.ApplyRequest{Services: []spec.Service{described}, Environ: environ(false), NoStart: true})
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
			return s, &statusError{
				status: exitOurs,
				err:    fmt.Errorf("the working directory, which would be the service's, cannot be found: %w", err),
				hint:   "name another with --chdir",
			}
		}
		s.Chdir = dir
	}
	s, err := here(s)
	if err != nil {
		return s, err
	}
	// Whether the user exists is said by the start, with the status for it.
	problems := append(s.Validate(), s.WithoutEffect()...)
	if problems = append(problems, spec.ValidateSupervised([]spec.Service{s}, nil, "")...); len(problems) > 0 {
		return s, problem(problems[0])
	}
	return s, nil
}
