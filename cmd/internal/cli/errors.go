package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/cmd/internal/safetext"
	"github.com/daemonry/daemonry/spec"
)

// Exit statuses that the command gives on its own account. The others of
// docs/exit-status.md come with a *detach.Error.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3 // status of a service, by the Linux Standard Base
	exitUnknown    = 4 // likewise
	exitOurs       = 125
)

// usageError is a command line that says nothing sensible. Nothing was done.
type usageError struct {
	verb string // "" for the command as a whole
	err  error
	hint string
}

func usagef(verb, format string, args ...any) *usageError {
	return &usageError{verb: verb, err: fmt.Errorf(format, args...)}
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// inVerb adds the verb that an error of usage is about.
func inVerb(name string, err error) error {
	var usage *usageError
	if errors.As(err, &usage) && usage.verb == "" && name != program {
		usage.verb = name
	}
	return err
}

// statusError is an answer that has an exit status of its own. Without an err
// the status says everything that standard output has not said.
type statusError struct {
	status int
	err    error
	hint   string
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// exitStatus is where errors become exit statuses.
func exitStatus(err error) int {
	var (
		usage  *usageError
		launch *detach.Error
		status *statusError
		signal detach.Interrupted
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &status):
		return status.status
	case errors.As(err, &launch):
		return launch.Status
	case errors.As(err, &signal):
		return 128 + int(signal.Signal)
	}
	return exitFailed
}

// report says on standard error what err says and returns its exit status.
func (a *app) report(err error) int {
	a.explain(program, err)
	return exitStatus(err)
}

// explain writes the line, the last words and the hint of an error.
func (a *app) explain(name string, err error) {
	var (
		usage  *usageError
		launch *detach.Error
		status *statusError
		hint   string
	)
	if err == nil || errors.As(err, &status) && status.err == nil {
		return
	}
	fmt.Fprintf(a.err, "%s: %s\n", name, oneLine(withoutHint(err, &hint)))
	if errors.As(err, &launch) {
		for _, line := range launch.Words {
			fmt.Fprintf(a.err, "| %s\n", printable(line))
		}
		hint = firstOf(launch.Hint, hint)
	}
	if status != nil {
		hint = firstOf(status.hint, hint)
	}
	if errors.As(err, &usage) {
		hint = firstOf(usage.hint, hint)
	}
	if hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", oneLine(hint))
	}
	if usage != nil {
		fmt.Fprintf(a.err, "see '%s --help'\n", strings.TrimSpace(program+" "+usage.verb))
	}
}

// withoutHint returns the text of err, less the advice that a [spec.HintError]
// in it has appended, which gets a line of its own.
func withoutHint(err error, hint *string) string {
	text := err.Error()
	var h *spec.HintError
	if errors.As(err, &h) && h.Hint != "" {
		*hint = h.Hint
		text = strings.Replace(text, h.Error(), h.Message, 1)
	}
	return text
}

// problem is the first thing that is wrong with a description, in the words of the command line.
func problem(p spec.Problem) *usageError {
	field, _, _ := strings.Cut(p.Field, "[")
	field, _, _ = strings.Cut(field, ".")
	e := usagef("", "%s", p.Message)
	if field != "command" {
		e = usagef("", "%s: %s", asOption(field), p.Message)
	}
	e.hint = asOptions(p.Hint)
	return e
}

// asOptions writes the names of fields as those of options.
func asOptions(text string) string {
	for _, field := range []string{"clear_env", "pass_env", "env_file", "no_new_privs", "oom_score"} {
		text = strings.ReplaceAll(text, field, asOption(field))
	}
	return text
}

func asOption(field string) string { return "--" + strings.ReplaceAll(field, "_", "-") }

// flagError says in our words what pflag found.
func flagError(v *verb, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &invalid):
		return usagef("", "--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		e := usagef("", "--%s: needs a value", missing.GetSpecifiedName())
		if o, ok := v.option(missing.GetSpecifiedName()); ok {
			e.hint = fmt.Sprintf("write --%s %s", o.long(), o.arg)
		}
		return e
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usagef("", "unknown option -%s", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		e := usagef("", "unknown option --%s", unknown.GetSpecifiedName())
		if near := spec.Nearest(unknown.GetSpecifiedName(), v.optionNames()); near != "" {
			e.hint = fmt.Sprintf("did you mean --%s?", near)
		}
		return e
	case errors.As(err, &syntax):
		return usagef("", "bad option %s", syntax.GetSpecifiedFlag())
	}
	return usagef("", "%w", err)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// oneLine keeps a message on its line and control characters off the terminal.
func oneLine(s string) string {
	return printable(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}

// printable shows control characters, with which a program, or whoever chose
// a file's name, could redraw the terminal, as what they are.
func printable(s string) string { return safetext.Plain(s) }
