package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
)

// exitTimedOut is what timeout(1) says of what was not in time.
const exitTimedOut = 124

// session is this user's supervisor, as far as there is one.
type session struct {
	*control.Client
	paths paths.Paths
}

// absent says that no supervisor is there, in distinction to one that does not answer.
func absent(err error) bool {
	var u *control.UnreachableError
	return errors.As(err, &u) && (errors.Is(u.Err, fs.ErrNotExist) || errors.Is(u.Err, syscall.ECONNREFUSED))
}

var errNoSupervisor = errors.New("no supervisor is running")

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
		return &statusError{status: exitTimedOut, err: fmt.Errorf("%s: %w", strings.Join(names, ", "), e)}
	case errors.As(err, &e):
		return &statusError{status: status, err: e, hint: e.Hint}
	}
	return &statusError{status: status, err: err}
}

// interrupted is err, or that a signal ended the wait for it.
func interrupted(ctx context.Context, err error, what string) error {
	var signal detach.Interrupted
	if err != nil && errors.As(context.Cause(ctx), &signal) {
		return fmt.Errorf("%w while waiting for %s; it goes on", signal, what)
	}
	return err
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
	var status *statusError
	var written *fs.PathError
	if errors.As(err, &written) && written.Op == "write" && written.Path == os.Stdout.Name() && !errors.As(err, &status) {
		return cut(context.Background(), err)
	}
	return err
}

// failuresIn are the services that an error is about, if it is about some that did not come up.
func failuresIn(err error) []control.Failure {
	var e *control.Error
	if errors.As(err, &e) && e.Code == control.NotDone {
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

// chosen are the services that a command line names.
type chosen struct {
	all bool
}

func (c *chosen) option() option {
	return option{"all", "", "Every service there is.", "", toggle(&c.all)}
}

func (c *chosen) names(words []string) (control.Names, error) {
	switch {
	case c.all && len(words) > 0:
		return control.Names{}, usagef("", "%q and --all: name one or the other", words[0])
	case !c.all && len(words) == 0:
		return control.Names{}, usagef("", "no service named")
	}
	if i := slices.IndexFunc(words, func(w string) bool { return w == "" }); i >= 0 {
		return control.Names{}, usagef("", "the name of a service is empty")
	}
	return control.Names{Names: words, All: c.all}, nil
}

// say is what the services are called in a message.
func say(n control.Names) string {
	if n.All {
		return "all services"
	}
	return strings.Join(n.Names, ", ")
}
