package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// writeTime is how long a client may take to accept an answer, or a piece of a
// stream, before it is cut off.
const writeTime = 20 * time.Second

const writePiece = 64 << 10

// timedWriter gives every write that time. The net/http server's own
// WriteTimeout would count from the request, and a start may wait for hours.
type timedWriter struct {
	http.ResponseWriter
	limit time.Duration
}

// Unwrap is for http.ResponseController.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Write writes in pieces, so that the time is for making progress and not for all of it.
func (t *timedWriter) Write(p []byte) (n int, err error) {
	for first := true; first || n < len(p); first = false {
		if err := http.NewResponseController(t.ResponseWriter).
			SetWriteDeadline(time.Now().Add(t.limit)); err != nil {
			return n, err
		}
		wrote, err := t.ResponseWriter.Write(p[n:min(len(p), n+writePiece)])
		if n += wrote; err != nil {
			return n, err
		}
	}
	return n, nil
}

// answerJSON writes v.
func answerJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		b.Reset()
		status = http.StatusInternalServerError
		// Two texts cannot fail.
		_ = e.Encode(failed(control.Internal, "", "encode the answer: %s", err))
	}
	answer(w, status, "application/json", b.Bytes())
}

func answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	begin(w, status, contentType)
	_, _ = w.Write(body) // the client has gone: nobody is left to be told
}

func begin(w http.ResponseWriter, status int, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}

// answerError writes err as an error object.
func answerError(w http.ResponseWriter, err error) {
	e := errorOf(err)
	answerJSON(w, statusOf(e.Code), e)
}

func statusOf(c control.Code) int {
	switch c {
	case control.BadRequest:
		return http.StatusBadRequest
	case control.Unauthorized:
		return http.StatusUnauthorized
	case control.Forbidden:
		return http.StatusForbidden
	case control.NotFound:
		return http.StatusNotFound
	case control.BadMethod:
		return http.StatusMethodNotAllowed
	case control.NotDone:
		return http.StatusConflict
	case control.TooLarge:
		return http.StatusRequestEntityTooLarge
	case control.Invalid:
		return http.StatusUnprocessableEntity
	case control.Unsupported:
		return http.StatusNotImplemented
	case control.Closing, control.Upgrading:
		return http.StatusServiceUnavailable
	case control.TimedOut:
		return http.StatusGatewayTimeout
	case control.NotSaved:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// errorOf finds out what kind of error the engine returned. Several are joined
// when several services are concerned: the message has a line for each.
func errorOf(err error) *control.Error {
	var (
		e        *control.Error
		problems spec.Problems
		missing  *supervise.NotFoundError
		single   *supervise.NoRollingError
		unsaved  *supervise.NotSavedError
	)
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &problems):
		return invalid(problems)
	case errors.Is(err, supervise.ErrClosed):
		return &control.Error{Message: err.Error(), Code: control.Closing}
	case errors.Is(err, errUpgrading):
		return &control.Error{Message: err.Error(), Code: control.Upgrading}
	case errors.As(err, &missing):
		e = &control.Error{Message: err.Error(), Code: control.NotFound}
		if missing.Hint != "" {
			e.Hint = fmt.Sprintf("did you mean %s?", missing.Hint)
		}
		return e
	case errors.As(err, &single):
		return &control.Error{Message: err.Error(), Hint: single.Hint, Code: control.NotDone}
	}
	e = &control.Error{Message: err.Error(), Code: control.NotDone, Failures: failuresIn(err)}
	if len(e.Failures) == 0 && errors.As(err, &unsaved) {
		e.Code = control.NotSaved
	}
	return e
}

func invalid(problems spec.Problems) *control.Error {
	e := &control.Error{Message: problems.Error(), Code: control.Invalid}
	for _, p := range problems {
		e.Problems = append(e.Problems, control.Problem(p))
	}
	return e
}

// failuresIn collects what is known of each service that did not come up, or was not brought where
// it was to be.
func failuresIn(err error) []control.Failure {
	var list []control.Failure
	switch e := err.(type) {
	case *waiters.Error:
		return []control.Failure{e.Failure}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			list = append(list, failuresIn(inner)...)
		}
	case interface{ Unwrap() error }:
		list = failuresIn(e.Unwrap())
	}
	return list
}

// badRequest is an error about what was asked.
func badRequest(hint, format string, args ...any) error {
	return failed(control.BadRequest, hint, format, args...)
}

func failed(code control.Code, hint, format string, args ...any) *control.Error {
	return &control.Error{Message: fmt.Sprintf(format, args...), Hint: hint, Code: code}
}
