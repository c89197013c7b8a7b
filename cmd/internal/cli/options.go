package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// parsed makes the setter of an option whose text parse reads.
func parsed[T any](dst *T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*dst = v
		}
		return err
	}
}

// parsedTo is parsed for a field that is nil where nothing was asked for.
func parsedTo[T any](dst **T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*dst = &v
		}
		return err
	}
}

// appended makes the setter of an option that may be given several times.
func appended[T any](dst *[]T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*dst = append(*dst, v)
		}
		return err
	}
}

func toggle(dst *bool) func(string) error { return parsed(dst, strconv.ParseBool) }

func word(text string) (string, error) {
	if text == "" {
		return "", errors.New("is empty")
	}
	return text, nil
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}

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
