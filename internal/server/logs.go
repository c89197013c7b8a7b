package server

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// LogRequest chooses what a [LogReader] reads.
type LogRequest struct {
	Service spec.Service // with defaults
	Lines   int          // the last so many; 0: none, less: all
	Follow  bool         // until the context ends
}

// LogReader writes a service's log, one or more whole lines a Write. An error of w ends it.
type LogReader interface {
	ReadLog(ctx context.Context, w io.Writer, r LogRequest) error
}

// defaultLines is how much of a log is shown when nothing is said, as in tail(1).
const defaultLines = 10

func (a *api) serviceLogs(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "n", "follow")
	if err != nil {
		return err
	}
	req := LogRequest{Lines: defaultLines}
	if text := q.Get("n"); text != "" {
		if req.Lines, err = strconv.Atoi(text); err != nil {
			return badRequest("it is a number of lines; -1 is all", "parameter \"n\" is %q", text)
		}
	}
	if req.Follow, err = toggle(q, "follow"); err != nil {
		return err
	}
	if a.logs == nil {
		return &control.Error{Message: "this supervisor does not serve logs", Code: control.Unsupported}
	}
	if req.Service, err = a.engine.Spec(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	out := &logWriter{w: w}
	if req.Follow { // the first line may be long in coming
		if err := out.begin(); err != nil {
			return nil // the client has gone
		}
	}
	err = a.logs.ReadLog(r.Context(), out, req)
	switch {
	case out.begun && err != nil && r.Context().Err() == nil:
		// The headers promised a log. Only a broken connection tells that this is not all of it.
		panic(http.ErrAbortHandler)
	case out.begun:
		return nil
	case err != nil:
		return err
	}
	_ = out.begin() // an empty log; the client may have gone
	return nil
}

// logWriter sends the headers with the first line, so that an error before it
// can still be told, and each piece at once.
type logWriter struct {
	w     http.ResponseWriter
	begun bool
}

func (o *logWriter) begin() error {
	o.begun = true
	h := o.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	o.w.WriteHeader(http.StatusOK)
	return send(o.w, nil)
}

func (o *logWriter) Write(p []byte) (int, error) {
	if !o.begun {
		if err := o.begin(); err != nil {
			return 0, err
		}
	}
	if err := send(o.w, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
