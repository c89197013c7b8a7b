package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// processOptions are the fields of spec.Process under their own names.
func processOptions(p *spec.Process) []group {
	return []group{
		{"Who it is", []option{
			{"user", "USER[:GROUP]", "Become this user, by name or number, with the groups the user is in. Sets HOME, USER, LOGNAME and SHELL. Needs root; who is that user already, and not root, keeps the groups it has.", "who you are", parsed(&p.User, word)},
			{"groups", "GROUP,…", "Supplementary groups in place of those the user is in.", "", addList(&p.Groups)},
			{"no-new-privs", "", "Never gain privileges by executing a file (PR_SET_NO_NEW_PRIVS).", "", toggle(&p.NoNewPrivs)},
			{"cap", "NAME,…", "Keep these capabilities(7) and no others, also as an ordinary user; \"none\" keeps none.", "unchanged", addCaps(&p.Cap)},
		}},
		{"Where it works", []option{
			{"chroot", "DIR", "Make DIR the root directory.", "", parsed(&p.Chroot, word)},
			{"chdir", "DIR", "Work in DIR, inside the chroot if there is one.", "/", parsed(&p.Chdir, word)},
			{"umask", "MODE", "Take these rights from new files, in octal.", spec.DefaultUmask.String(), parsedTo(&p.Umask, spec.ParseMode)},
		}},
		{"What it knows", []option{
			{"env", "NAME=VALUE", "Set a variable. May be repeated.", "", addEnv(&p.Env)},
			{"env-file", "FILE", "Set the variables of FILE, a NAME=VALUE on each line; --env comes after it. With a leading \"-\" the file may be missing. May be repeated.", "", appended(&p.EnvFile, word)},
			{"clear-env", "", "Start with no variables but PATH and those of --pass-env.", "", toggle(&p.ClearEnv)},
			{"pass-env", "NAME,…", "Leave these to a --clear-env.", "", addList(&p.PassEnv)},
		}},
		{"What it reads and writes", []option{
			{"stdin", "FILE", "Standard input: a path, \"null\" or \"inherit\".", "null", parsed(&p.Stdin, spec.ParseStream)},
			{"stdout", "FILE", "Standard output: a path to append to, \"truncate:PATH\", \"null\" or \"inherit\".", "null", addStream(&p.Stdout)},
			{"stderr", "FILE", "Standard error: the same, or \"stdout\".", "null", addStream(&p.Stderr)},
		}},
		{"What it may use", []option{
			{"rlimit", "NAME=SOFT[:HARD]", "Set a limit of setrlimit(2), as in nofile=4096:65536 or core=unlimited. May be repeated.", "unchanged", addRlimit(&p.Rlimit)},
			{"cgroup", "DIR", "Run in the control group (cgroups(7), version 2) at DIR, which must be there.", "unchanged", parsed(&p.Cgroup, word)},
			{"nice", "N", "Niceness, -20 to 19.", "unchanged", parsedTo(&p.Nice, number)},
			{"oom-score", "N", "What the kernel kills first when memory runs out, -1000 (never) to 1000.", "unchanged", parsedTo(&p.OOMScore, number)},
		}},
		{"That there is only one", []option{
			{"pidfile", "FILE", "Hold FILE, with the pid in it, locked for the daemon's life.", "", parsed(&p.Pidfile, word)},
			{"lockfile", "FILE", "Hold FILE locked, without a pid in it, as flock(1) does.", "", parsed(&p.Lockfile, word)},
		}},
	}
}

// addList takes names apart at commas.
func addList(dst *[]string) func(string) error {
	return func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			if name == "" {
				return fmt.Errorf("%q has an empty name in it", text)
			}
			*dst = append(*dst, name)
		}
		return nil
	}
}

// addCaps is addList with a word for the empty list, which is not the same as no list.
func addCaps(dst *[]string) func(string) error {
	add := addList(dst)
	return func(text string) error {
		if text != "none" {
			return add(text)
		}
		if len(*dst) > 0 {
			return errors.New(`"none" and names exclude each other`)
		}
		*dst = []string{}
		return nil
	}
}

// addStream is spec.ParseStream without the kind that needs a supervisor.
func addStream(dst *spec.Stream) func(string) error {
	return func(text string) error {
		if text == string(spec.StreamLog) {
			return &spec.HintError{Message: "there is no log without a supervisor", Hint: "write the path of a file, ./log for one of that name"}
		}
		return parsed(dst, spec.ParseStream)(text)
	}
}

func addEnv(dst *map[string]string) func(string) error {
	return func(text string) error {
		name, val, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return &spec.HintError{Message: fmt.Sprintf("%q is not a variable", text), Hint: "write --env NAME=VALUE"}
		}
		put(dst, name, val)
		return nil
	}
}

func addRlimit(dst *map[spec.RlimitName]spec.Rlimit) func(string) error {
	return func(text string) error {
		name, limits, ok := strings.Cut(text, "=")
		if !ok {
			return &spec.HintError{Message: fmt.Sprintf("%q sets no limit", text), Hint: "write --rlimit NAME=SOFT[:HARD]"}
		}
		key, err := spec.ParseRlimitName(name)
		if err != nil {
			return err
		}
		limit, err := spec.ParseRlimit(limits)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		put(dst, key, limit)
		return nil
	}
}

func put[K comparable, V any](dst *map[K]V, key K, val V) {
	if *dst == nil {
		*dst = map[K]V{}
	}
	(*dst)[key] = val
}

// here makes the paths of s absolute, for the daemon works elsewhere. Only a
// relative one needs to know where we are: a directory that has been deleted
// is nowhere, and a daemon can be started from it all the same.
func here(s spec.Service) (spec.Service, error) {
	if s.Chdir == "" {
		s.Chdir = "/"
	}
	dir, err := os.Getwd()
	if err == nil {
		return s.Resolve(dir), nil
	}
	// What differs with the directory is relative.
	for _, change := range spec.Diff(s.Resolve("/"), s.Resolve("/elsewhere")) {
		return s, &statusError{
			status: exitOurs,
			err:    fmt.Errorf("%s: relative to the working directory, which cannot be found: %w", asOption(change.Field), err),
			hint:   "write an absolute path",
		}
	}
	return s.Resolve("/"), nil
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
