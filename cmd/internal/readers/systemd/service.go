package systemd

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

func execStart(r *reader, e entry) {
	if e.value == "" {
		r.service.Command = nil
		return
	}
	all, err := parseCommand(e.value)
	if err != nil {
		r.bad(e, err)
		return
	}
	if len(r.service.Command) > 0 || len(all) > 1 {
		r.note(e, "more than one command cannot be expressed: make each a oneshot that the next "+
			"one requires")
		if len(r.service.Command) > 0 {
			return
		}
	}
	r.service.Command = r.command(e, all[0])
}

// command turns a command line into a command and reports its prefixes.
func (r *reader) command(e entry, line commandLine) spec.Command {
	list := line.words
	for _, c := range line.prefixes {
		switch c {
		case '-':
			r.note(e,
				"a failure that is ignored (-) cannot be expressed: list the exit codes in success")
		case '@':
			r.note(e, "a name other than the program's (@) cannot be expressed")
			if len(list) > 1 {
				list = slices.Delete(slices.Clone(list), 1, 2)
			}
		case '+', '!':
			r.note(e, "privileges other than the service's (%c) cannot be expressed", c)
		case '|':
			r.note(e, "a login shell (|) cannot be expressed")
		}
	}
	return toCommand(list, strings.Contains(line.prefixes, ":"))
}

// killCommand recognises "kill -HUP $MAINPID" and returns the signal.
func killCommand(list []string) (spec.Signal, bool) {
	if len(list) < 2 || path.Base(list[0]) != "kill" {
		return "", false
	}
	if target := list[len(list)-1]; target != "$MAINPID" && target != "${MAINPID}" {
		return "", false
	}
	name := "TERM"
	switch options := list[1 : len(list)-1]; {
	case len(options) == 0:
	case len(options) == 1 && strings.HasPrefix(options[0], "-"):
		name = strings.TrimPrefix(strings.TrimPrefix(options[0], "-s"), "-")
	case len(options) == 2 && (options[0] == "-s" || options[0] == "--signal"):
		name = options[1]
	default:
		return "", false
	}
	signal, err := spec.ParseSignal(name)
	return signal, err == nil
}

// helper reads ExecReload or ExecStop: a signal, or else a command.
func (r *reader) helper(e entry, signal func(spec.Signal), command *spec.Command) {
	if e.value == "" {
		*command = nil
		signal("")
		return
	}
	all, err := parseCommand(e.value)
	if err != nil {
		r.bad(e, err)
		return
	}
	if len(all) > 1 || len(*command) > 0 {
		r.note(e, "more than one command cannot be expressed")
		return
	}
	if s, ok := killCommand(all[0].words); ok {
		signal(s)
		return
	}
	*command = r.command(e, all[0])
}

func execReload(r *reader, e entry) {
	if r.service.Reload != "" && e.value != "" {
		r.note(e, "more than one command cannot be expressed")
		return
	}
	r.helper(e, func(s spec.Signal) { r.service.Reload = s }, &r.service.ReloadCommand)
}

func execStop(r *reader, e entry) {
	r.helper(e, func(s spec.Signal) {
		r.service.Stop = nil
		if s != "" {
			r.service.Stop = spec.StopSchedule{{Signal: s}}
		}
	}, &r.service.StopCommand)
}

func pidFile(r *reader, e entry) {
	r.note(e, "is written by a program that forks; here programs stay in the foreground")
}

func restart(r *reader, e entry) {
	switch e.value {
	case "no", "on-failure", "always":
		r.service.Restart = spec.Restart(e.value)
	case "on-abnormal", "on-abort", "on-watchdog":
		r.service.Restart = spec.RestartOnFailure
		r.note(e, "%s is taken as on-failure, which restarts after a bad exit code too", e.value)
	case "on-success":
		r.note(e, "on-success cannot be expressed")
	default:
		r.bad(e, fmt.Errorf("%q is not known", e.value))
	}
}

func success(r *reader, e entry) {
	if e.value == "" {
		r.service.Success = spec.ExitSet{}
	}
	for word := range strings.FieldsSeq(e.value) {
		if code, err := strconv.Atoi(word); err == nil && code >= 0 && code <= 255 {
			r.service.Success.Codes = append(r.service.Success.Codes, code)
		} else if signal, err := spec.ParseSignal(word); err == nil {
			r.service.Success.Signals = append(r.service.Success.Signals, signal)
		} else {
			r.note(e, "exit status %s is known by name only: write its number", word)
		}
	}
}

func timeoutStart(r *reader, e entry) { r.timeout(e, &r.service.Timeout) }
func timeoutStop(r *reader, e entry)  { r.timeout(e, &r.service.StopTimeout) }

// timeout takes 0 for no limit, as systemd does.
func (r *reader) timeout(e entry, field **spec.Duration) {
	d, err := parseTime(e.value)
	r.bad(e, err)
	if d == 0 {
		d = spec.Forever
	}
	*field = &d
}

func watchdog(r *reader, e entry) {
	d, err := parseTime(e.value)
	r.bad(e, err)
	if d == spec.Forever {
		d = 0
	}
	r.service.Watchdog = d
}

func killMode(r *reader, e entry) {
	switch e.value {
	case "control-group":
		r.service.StopTo = spec.StopAll
	case "mixed":
		r.service.StopTo = spec.StopMain
	case "process", "none":
		r.service.StopTo = spec.StopMain
		r.note(e, "%s leaves processes behind; here none is left", e.value)
	default:
		r.bad(e, fmt.Errorf("%q is not known", e.value))
	}
}

func workingDirectory(r *reader, e entry) {
	dir, optional := strings.CutPrefix(e.value, "-")
	if optional {
		r.note(e, "a directory that may be missing cannot be expressed")
	}
	if dir == "~" {
		r.note(e, "the home directory of the user is to be written out")
		return
	}
	if dir == "" {
		dir = "/"
	}
	r.service.Chdir = dir
}

func environment(r *reader, e entry) {
	all, err := words(e.value)
	r.bad(e, err)
	if e.value == "" || r.service.Env == nil {
		r.service.Env = map[string]string{}
	}
	for _, word := range all {
		name, value, ok := strings.Cut(word, "=")
		if !ok || readers.NameLength(name) != len(name) || name == "" {
			r.bad(e, fmt.Errorf("%q is not NAME=VALUE", word))
			continue
		}
		r.service.Env[name] = value
	}
}

func environmentFile(r *reader, e entry) {
	if e.value == "" {
		r.service.EnvFile = nil
		return
	}
	if strings.ContainsAny(e.value, "*?[") {
		r.note(e, "a pattern cannot be expressed: write each file")
		return
	}
	r.service.EnvFile = append(r.service.EnvFile, e.value)
	// systemd lets the files win over Environment=, we do not.
	if len(r.service.EnvFile) == 1 {
		r.note(e, "where it and Environment= set the same variable, Environment= wins here")
	}
}

func standardInput(r *reader, e entry) {
	switch name, isFile := strings.CutPrefix(e.value, "file:"); {
	case e.value == "null":
	case isFile:
		r.service.Stdin = spec.Stream{Kind: spec.StreamPath, Path: name}
	default:
		r.note(e, "%q cannot be expressed", e.value)
	}
}

func output(field *spec.Stream) setter {
	return func(r *reader, e entry) {
		kind, name, _ := strings.Cut(e.value, ":")
		isError := e.key == "StandardError"
		switch kind {
		case "journal", "syslog", "kmsg", "journal+console":
			*field = spec.Stream{} // to the log, which is ours
		case "inherit":
			*field = spec.Stream{}
			if isError {
				*field = spec.Stream{Kind: spec.StreamStdout}
			}
		case "null":
			*field = spec.Stream{Kind: spec.StreamNull}
		case "append":
			*field = spec.Stream{Kind: spec.StreamPath, Path: name}
		case "truncate":
			*field = spec.Stream{Kind: spec.StreamTruncate, Path: name}
		case "file":
			*field = spec.Stream{Kind: spec.StreamPath, Path: name}
			r.note(e, "is appended to, not written over from its beginning")
		default:
			r.note(e, "%q cannot be expressed", e.value)
		}
	}
}

func memorySwapMax(r *reader, e entry) {
	var n spec.ByteSize
	size(&n)(r, e)
	switch {
	case e.value == "" || e.value == "infinity":
		r.service.Limits.Swap = nil
	case !strings.HasSuffix(e.value, "%"):
		r.service.Limits.Swap = &n
	}
}

func cpuQuota(r *reader, e entry) {
	if e.value == "" {
		r.service.Limits.CPUs = 0
		return
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(e.value, "%"), 64)
	if err != nil || !strings.HasSuffix(e.value, "%") || !(percent > 0) {
		r.bad(e, fmt.Errorf("%q is not a percentage", e.value))
		return
	}
	r.service.Limits.CPUs = percent / 100
}

func tasksMax(r *reader, e entry) {
	switch {
	case e.value == "" || e.value == "infinity":
		r.service.Limits.Tasks = 0
	case strings.HasSuffix(e.value, "%"):
		r.note(e, "a share of the machine's tasks cannot be expressed")
	default:
		count(&r.service.Limits.Tasks)(r, e)
	}
}
