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
			{"user", "USER[:GROUP]", "who you are", parsed(&p.User, word)},
			{"groups", "GROUP,…", "", addList(&p.Groups)},
			{"no-new-privs", "", "", toggle(&p.NoNewPrivs)},
			{"cap", "NAME,…", "unchanged", addCaps(&p.Cap)},
		}},
		{"Where it works", []option{
			{"chroot", "DIR", "", parsed(&p.Chroot, word)},
			{"chdir", "DIR", "/", parsed(&p.Chdir, word)},
			{"umask", "MODE", spec.DefaultUmask.String(), parsedTo(&p.Umask, spec.ParseMode)},
		}},
		{"What it knows", []option{
			{"env", "NAME=VALUE", "", addEnv(&p.Env)},
			{"env-file", "FILE", "", appended(&p.EnvFile, word)},
			{"clear-env", "", "", toggle(&p.ClearEnv)},
			{"pass-env", "NAME,…", "", addList(&p.PassEnv)},
		}},
		{"What it reads and writes", []option{
			{"stdin", "FILE", "null", parsed(&p.Stdin, spec.ParseStream)},
			{"stdout", "FILE", "null", addStream(&p.Stdout)},
			{"stderr", "FILE", "null", addStream(&p.Stderr)},
		}},
		{"What it may use", []option{
			{"rlimit", "NAME=SOFT[:HARD]", "unchanged", addRlimit(&p.Rlimit)},
			{"cgroup", "DIR", "unchanged", parsed(&p.Cgroup, word)},
			{"nice", "N", "unchanged", parsedTo(&p.Nice, number)},
			{"oom-score", "N", "unchanged", parsedTo(&p.OOMScore, number)},
		}},
		{"That there is only one", []option{
			{"pidfile", "FILE", "", parsed(&p.Pidfile, word)},
			{"lockfile", "FILE", "", parsed(&p.Lockfile, word)},
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
			return &spec.HintError{Message: "there is no log without a supervisor",
				Hint: "write the path of a file, ./log for one of that name"}
		}
		return parsed(dst, spec.ParseStream)(text)
	}
}

func addEnv(dst *map[string]string) func(string) error {
	return func(text string) error {
		name, val, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return &spec.HintError{Message: fmt.Sprintf("%q is not a variable", text),
				Hint: "write --env NAME=VALUE"}
		}
		put(dst, name, val)
		return nil
	}
}

func addRlimit(dst *map[spec.RlimitName]spec.Rlimit) func(string) error {
	return func(text string) error {
		name, limits, ok := strings.Cut(text, "=")
		if !ok {
			return &spec.HintError{Message: fmt.Sprintf("%q sets no limit", text),
				Hint: "write --rlimit NAME=SOFT[:HARD]"}
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
		return s, statusf(exitOurs,
			"%s: relative to the working directory, which cannot be found: %w",
			asOption(change.Field), err).advise("write an absolute path")
	}
	return s.Resolve("/"), nil
}

// keptOptions say how a service is kept running, in its own fields' names.
func keptOptions(s *spec.Service) []group {
	return []group{
		{"How it is kept running", []option{
			{"restart", "WHEN", string(spec.RestartOnFailure),
				parsed(&s.Restart, text[spec.Restart])},
			{"budget", "N", strconv.Itoa(spec.DefaultBudgetRestarts),
				parsedTo(&s.Budget.Restarts, number)},
			{"backoff", "FIRST[/CAP]",
				spec.DefaultBackoffFirst.String() + "/" + spec.DefaultBackoffCap.String(),
				addBackoff(&s.Backoff)},
			{"liveness", "PROBE", "", parsed(&s.Liveness.Check, spec.ParseProbe)},
			{"liveness-interval", "DURATION", spec.DefaultLivenessInterval.String(),
				parsedTo(&s.Liveness.Interval, spec.ParseDuration)},
			{"success", "END,…", "", addExits(&s.Success)},
			{"watchdog", "DURATION", "", parsed(&s.Watchdog, spec.ParseDuration)},
			{"notify-access", "WHOSE", string(spec.NotifyMain),
				parsed(&s.NotifyAccess, text[spec.NotifyAccess])},
			{"instances", "N", "", parsed(&s.Instances, number)},
			{"type", "TYPE", string(spec.Daemon), parsed(&s.Type, text[spec.Type])},
			{"remain", "", "", toggle(&s.Remain)},
		}},
		{"What it may use, with all it starts", []option{
			{"memory-restart", "SIZE", "", parsed(&s.Limits.MemoryRestart, spec.ParseByteSize)},
			{"memory", "SIZE", "", parsed(&s.Limits.Memory, spec.ParseByteSize)},
			{"cpus", "N", "", parsed(&s.Limits.CPUs, fraction)},
			{"tasks", "N", "", parsed(&s.Limits.Tasks, number)},
		}},
		{"How it ends and reloads", []option{
			{"stop", "SCHEDULE", string(spec.DefaultStopSignal),
				parsed(&s.Stop, spec.ParseStopSchedule)},
			{"stop-timeout", "DURATION", spec.DefaultStopTimeout.String(),
				parsedTo(&s.StopTimeout, spec.ParseDuration)},
			{"stop-to", "WHO", string(spec.StopMain), parsed(&s.StopTo, text[spec.StopTo])},
			{"stop-command", "COMMAND", "", parsed(&s.StopCommand, spec.ParseCommand)},
			{"reload-command", "COMMAND", "", parsed(&s.ReloadCommand, spec.ParseCommand)},
			{"reload", "SIGNAL", "", parsed(&s.Reload, spec.ParseSignal)},
		}},
		{"What comes before it", []option{
			{"requires", "NAME,…", "", addList(&s.Requires)},
			{"wants", "NAME,…", "", addList(&s.Wants)},
			{"after", "NAME,…", "", addList(&s.After)},
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
		g.options = slices.DeleteFunc(g.options, func(o option) bool {
			return o.name == "pidfile" || o.name == "lockfile"
		})
		for i := range g.options {
			o := &g.options[i]
			switch o.name {
			case "stdout":
				o.def, o.set = "log", parsed(&p.Stdout, spec.ParseStream)
			case "stderr":
				o.def, o.set = "log", parsed(&p.Stderr, spec.ParseStream)
			case "chdir":
				o.def = "where you are"
			}
		}
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.options) == 0 })
}
