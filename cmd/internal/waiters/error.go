package waiters

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
)

// ErrClosed is the answer when the supervisor is stopping or has stopped.
var ErrClosed = errors.New("the supervisor is shutting down")

// Error is a control.Failure, as an error.
type Error struct {
	control.Failure
	// Err is why there was no process, or none in time: for errors.As, such as *spawn.StepError;
	// else nil.
	Err error
}

func (e *Error) Error() string { return text(&e.Failure) }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func text(f *control.Failure) string {
	s := f.Name + ": " + f.Reason
	if f.Retry {
		s += "; it is tried again"
	}
	if f.Cause != nil {
		s += "; " + text(f.Cause)
	}
	return s
}

// Failed says for what reason a process of s, which is as its Exit and Cause say, is of no use.
func Failed(s Service, reason string) *Error {
	return &Error{
		Failure: control.Failure{
			Name: s.Name(), Reason: reason, Exit: s.Exit(), Status: statusOf(s.Exit(), s.Cause()),
		},
		Err: s.Cause(),
	}
}

// notUp is why s is not up.
func notUp(s Service) *Error {
	if s.State() == control.Waiting { // what ended before that is not the reason
		e := notDone(s.Name(), s.Reason(), spawn.StatusFailed)
		down := s.Obstacle().Service
		if down != nil && (down.State() == control.Failed || down.State() == control.Backoff) {
			e.Cause = &notUp(down).Failure
		}
		return e
	}
	e := Failed(s, s.Reason())
	e.Retry = s.State() == control.Backoff ||
		s.State() == control.Failed && !s.Next().IsZero()
	return e
}

// statusOf is the exit status for a command that was to start a service, as timeout(1) and env(1)
// have them: the program's own, 128+N for signal N, 124 not ready in time, 126 not executable, 127
// not found, 125 for anything else that kept it from coming up.
func statusOf(exit *control.Exit, err error) int {
	switch {
	case errors.Is(err, lifecycle.ErrNotReady):
		return spawn.StatusNotReady
	case err != nil || exit == nil:
		return spawn.StatusOf(err)
	case exit.Signal != "" || exit.Code != 0:
		return exit.Status()
	}
	return spawn.StatusFailed // it ended well, but before it was up
}

// Overtaken says that what was asked for was not done, because what somebody asked for after it is
// the opposite.
func Overtaken(name string, what, by Order) error {
	if by == End {
		return ErrClosed
	}
	return notDone(name, fmt.Sprintf("%s: overtaken by a later %s", what, by), 1)
}

// refused says that s is not ended, because the kernel does not let us signal one of its processes.
func refused(s Service) error { return notDone(s.Name(), s.WhyRefused(), 1) }

func notDone(name, reason string, status int) *Error {
	return &Error{Failure: control.Failure{Name: name, Reason: reason, Status: status}}
}
