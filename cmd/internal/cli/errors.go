package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/cmd/internal/safetext"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
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
	exitOurs       = spawn.StatusFailed
)

// usageError is a command line that says nothing sensible. Nothing was done.
type usageError struct {
	verb string // "" for the command as a whole
	err  error
	hint string
}

func usagef(format string, args ...any) *usageError {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// advise adds what to write instead.
func (e *usageError) advise(hint string) *usageError {
	e.hint = hint
	return e
}

// meant is advice for who gave a name that is near to one that there is, "" if none is.
func meant(format, given string, names []string) string {
	if near := spec.Nearest(given, names); near != "" {
		return fmt.Sprintf("did you mean "+format+"?", near)
	}
	return ""
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// inVerb adds the verb that an error of usage is about.
func inVerb(name string, err error) error {
	if usage, ok := errors.AsType[*usageError](err); ok && name != program {
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

func statusf(status int, format string, args ...any) *statusError {
	return &statusError{status: status, err: fmt.Errorf(format, args...)}
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// advise adds what may help.
func (e *statusError) advise(hint string) *statusError {
	e.hint = hint
	return e
}

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
		hint = cmp.Or(launch.Hint, hint)
	}
	if status != nil {
		hint = cmp.Or(status.hint, hint)
	}
	if errors.As(err, &usage) {
		hint = cmp.Or(usage.hint, hint)
	}
	if hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", oneLine(hint))
	}
	if usage != nil {
		fmt.Fprintf(a.err, "see '%s --help'\n", strings.TrimSpace(program+" "+usage.verb))
	}
}

// say says something that is no error.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, "%s: %s\n", program, oneLine(fmt.Sprintf(format, args...)))
}

// withoutHint returns the text of err, less the advice that a [spec.HintError]
// in it has appended, which gets a line of its own.
func withoutHint(err error, hint *string) string {
	text := err.Error()
	if h, ok := errors.AsType[*spec.HintError](err); ok && h.Hint != "" {
		*hint = h.Hint
		text = strings.Replace(text, h.Error(), h.Message, 1)
	}
	return text
}

// problem is the first thing that is wrong with a description, in the words of the command line.
func problem(p spec.Problem) *usageError {
	field, _, _ := strings.Cut(p.Field, "[")
	field, _, _ = strings.Cut(field, ".")
	message := p.Message
	if field != "command" {
		message = asOption(field) + ": " + message
	}
	return usagef("%s", message).advise(asOptions(p.Hint))
}

// asOptions writes the names of fields as those of options.
func asOptions(text string) string {
	for _, field := range []string{
		"clear_env", "pass_env", "env_file", "no_new_privs", "oom_score",
	} {
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
		return usagef("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		e := usagef("--%s: needs a value", missing.GetSpecifiedName())
		if o, ok := v.options.named(missing.GetSpecifiedName()); ok {
			e.hint = fmt.Sprintf("write --%s %s", o.long(), o.arg)
		}
		return e
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usagef("unknown option -%s", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		return usagef("unknown option --%s", unknown.GetSpecifiedName()).
			advise(meant("--%s", unknown.GetSpecifiedName(), v.options.names()))
	case errors.As(err, &syntax):
		return usagef("bad option %s", syntax.GetSpecifiedFlag())
	}
	return usagef("%w", err)
}

// oneLine keeps a message on its line and control characters off the terminal.
func oneLine(s string) string {
	return printable(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}

// printable shows control characters, with which a program, or whoever chose
// a file's name, could redraw the terminal, as what they are.
func printable(s string) string { return safetext.Plain(s) }

// unsaid is a status that could not be written: of the statuses of this command "unknown" is the
// one that says so, unless the reader has gone away.
func unsaid(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return err
	}
	return &statusError{status: exitUnknown, err: err}
}

// failure is what a supervisor's error is to the command: its exit status, unless
// what failed has one of its own, and its text. names are the services it was about.
func failure(err error, status int, names []string) error {
	var e *control.Error
	if silent, ok := errors.AsType[*silentError](err); ok {
		err = silent // which request it has ended says nothing more
	}
	switch {
	case err == nil:
		return nil
	case absent(err) && len(names) > 0:
		return noSupervisor(status, strings.Join(names, ", "))
	case absent(err):
		return &statusError{status: status, err: errNoSupervisor}
	case errors.As(err, &e) && e.Code == control.TimedOut:
		return statusf(spawn.StatusNotReady, "%s: %w", strings.Join(names, ", "), e)
	case errors.As(err, &e):
		return &statusError{status: status, err: e, hint: e.Hint}
	}
	return &statusError{status: status, err: err}
}

// interrupted is err, or that a signal ended the wait for it.
func interrupted(ctx context.Context, err error, what string) error {
	if signal, ok := errors.AsType[detach.Interrupted](context.Cause(ctx)); ok && err != nil {
		return fmt.Errorf("%w while waiting for %s; it goes on", signal, what)
	}
	return err
}

// unawaited is the error of what was waited for: that a signal ended the wait, or failure's.
func unawaited(ctx context.Context, err error, what string, names []string) error {
	if ctx.Err() != nil {
		return interrupted(ctx, err, what)
	}
	return failure(err, exitFailed, names)
}

// cut is the end of a command that goes on until somebody has seen enough: a signal, or a reader
// that has gone away (head(1)). The exit status says so, and there is nothing else to say.
func cut(ctx context.Context, err error) error {
	var signal detach.Interrupted
	switch {
	case errors.As(context.Cause(ctx), &signal):
		return &statusError{status: 128 + int(signal.Signal)}
	case errors.Is(err, syscall.EPIPE):
		return &statusError{status: 128 + int(syscall.SIGPIPE)}
	}
	return err
}

// unread is the end of a command whose reader has gone away before it had printed all: that of
// SIGPIPE, which the command has taken (untilSignal), with nothing else to say. An answer that has
// a status of its own keeps it.
func unread(err error) error {
	written, ok := errors.AsType[*fs.PathError](err)
	if ok && written.Op == "write" && written.Path == os.Stdout.Name() &&
		!errors.As(err, new(*statusError)) {
		return cut(context.Background(), err)
	}
	return err
}

// failuresIn are the services that an error is about, if it is about some that did not come up.
func failuresIn(err error) []control.Failure {
	if e, ok := errors.AsType[*control.Error](err); ok && e.Code == control.NotDone {
		return e.Failures
	}
	return nil
}

// launchError is a service that did not come up, as "detach" would tell of it.
func launchError(f control.Failure) *detach.Error {
	e := &detach.Error{Status: f.Status, Err: fmt.Errorf("%s: %s", f.Name, f.Reason)}
	down := f
	if f.Cause != nil {
		down = *f.Cause
		e.Err = fmt.Errorf("%w; %s: %s", e.Err, down.Name, down.Reason)
	}
	if down.Exit != nil {
		e.Words = down.Exit.Words
	}
	if down.Retry {
		e.Err = fmt.Errorf("%w; it is tried again", e.Err)
	}
	return e
}

// told reports all failures but the last, which it returns for the command to end with. With
// several of them, the exit status is none's own. What a service waits for in vain comes before it,
// and has its words once.
func (a *app) told(failures []control.Failure) error {
	failures = slices.Clone(failures)
	slices.SortStableFunc(failures, func(f, g control.Failure) int { return depth(f) - depth(g) })
	said := map[string]bool{}
	var e *detach.Error
	for i, f := range failures {
		e = launchError(f)
		if f.Cause != nil && said[f.Cause.Name] {
			e = launchError(control.Failure{Name: f.Name, Reason: f.Reason, Status: f.Status})
		}
		said[f.Name] = true
		if i < len(failures)-1 {
			a.explain(program, e)
		}
	}
	if len(failures) > 1 {
		e.Status = exitFailed
	}
	return e
}

// depth is 1 for what failed because something else has.
func depth(f control.Failure) int {
	if f.Cause != nil {
		return 1
	}
	return 0
}
