package control

import (
	"fmt"

	"github.com/daemonry/daemonry/spec"
)

// Code is the kind of an [Error]. It is an error itself, so that
// errors.Is(err, control.NotFound) tells.
type Code string

// Codes, each with its HTTP status.
const (
	BadRequest   Code = "bad_request"  // 400: the request makes no sense
	Unauthorized Code = "unauthorized" // 401: the token is missing or wrong
	Forbidden    Code = "forbidden"    // 403: who asks may not
	NotFound     Code = "not_found"    // 404: no such service, or no such path
	BadMethod    Code = "bad_method"   // 405: the path is right, the method is not
	// 409: understood, tried, and did not come to a good end; Failures may say more
	NotDone  Code = "not_done"
	TooLarge Code = "too_large" // 413: the body is larger than 8 MiB
	// 422: descriptions of services are wrong; Problems says where
	Invalid     Code = "invalid"
	Internal    Code = "internal"    // 500: a mistake of the supervisor's
	Unsupported Code = "unsupported" // 501: this supervisor cannot do that
	Closing     Code = "closing"     // 503: the supervisor is shutting down
	// 503: the supervisor's program is being replaced; what was asked for goes on, ask again
	Upgrading Code = "upgrading"
	TimedOut  Code = "timed_out" // 504: the timeout in the request is over
	// 507: done, and not on disk: a supervisor that is started again would not know it
	NotSaved Code = "not_saved"
)

func (c Code) Error() string { return string(c) }

// Error is what the supervisor answers when it did not do what was asked.
type Error struct {
	// Message says what and why, a line for each thing.
	Message string `json:"error"`
	// Hint on what to do instead.
	Hint string `json:"hint,omitzero"`
	// Code is the kind.
	Code Code `json:"code"`
	// Problems are what is wrong with descriptions, if the code is "invalid".
	Problems []Problem `json:"problems,omitzero"`
	// Failures are the services that did not come up, or for which something was asked for and then
	// the opposite, if the code is "not_done".
	Failures []Failure `json:"failures,omitzero"`
	// Plan is what an apply did, if the services then did not come up.
	Plan []Planned `json:"plan,omitzero"`

	notReady []string // of a Health that came with an error's status
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the code.
func (e *Error) Unwrap() error { return e.Code }

// Problem is one thing that is wrong with a description.
type Problem struct {
	// Service is its name. May be empty.
	Service string `json:"service,omitzero"`
	// Field is its path by JSON names, as in "sockets[0].listen".
	Field string `json:"field,omitzero"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Hint on what to write instead.
	Hint string `json:"hint,omitzero"`
}

// ProblemsOf returns the problems as package spec has them.
func (e *Error) ProblemsOf() spec.Problems {
	list := make(spec.Problems, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = spec.Problem(p)
	}
	return list
}

// Failure is a service that did not come up, or go down because a later request overtook this one.
type Failure struct {
	// Name of the service.
	Name string `json:"name"`
	// Reason in one line.
	Reason string `json:"reason"`
	// Status is the exit status for a command that was to start it, as
	// timeout(1) and env(1) have them: the program's own, 128+N for signal N, 124
	// not ready in time, 125 not to be started, 126 not executable, 127 not found; 1 if a
	// later request overtook this one.
	Status int `json:"status"`
	// Exit is how its process ended, with its last words; null if there was none.
	Exit *Exit `json:"exit"`
	// Retry says that it will be tried again.
	Retry bool `json:"retry,omitzero"`
	// Cause is the failure of the service that this one waits for, perhaps over several others.
	Cause *Failure `json:"cause,omitzero"`
}

// UnreachableError says that no supervisor answers.
type UnreachableError struct {
	Address string // the socket's path, or HOST:PORT
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no supervisor answers at %s: %v", e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }
