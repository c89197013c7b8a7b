package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// LogRequest chooses what a [LogReader] reads.
type LogRequest struct {
	Service spec.Service // with defaults
	Lines   int          // the last so many; 0: none, less: all
	Follow  bool         // until the context ends

	Since, Until time.Time      // zero: no bound
	Grep         *regexp.Regexp // nil: all
	Streams      []string       // "out", "err" and "log"; none: all
}

// LogReader writes a service's log, one or more whole lines a Write. An error of w ends it.
type LogReader interface {
	ReadLog(ctx context.Context, w io.Writer, r LogRequest) error
}

// defaultLines is how much of a log is shown when nothing is said, as in tail(1), and mostLines how
// much can be asked for: to find the last ones they are held in memory. All of them are not.
const (
	defaultLines = 10
	mostLines    = 10_000
)

// logRequest reads the parameters.
func logRequest(r *http.Request) (req LogRequest, err error) {
	q, err := query(r, "n", "follow", "since", "until", "grep", "stream")
	if err != nil {
		return req, err
	}
	if req.Since, err = moment(q, "since"); err != nil {
		return req, err
	}
	if req.Until, err = moment(q, "until"); err != nil {
		return req, err
	}
	if req.Lines = defaultLines; !req.Since.IsZero() || !req.Until.IsZero() {
		req.Lines = -1
	}
	if text := q.Get("n"); text != "" {
		if req.Lines, err = strconv.Atoi(text); err != nil || req.Lines > mostLines {
			return req, badRequest(fmt.Sprintf("it is a number of lines, %d at most; -1 is all", mostLines), "parameter \"n\" is %q", text)
		}
	}
	if req.Grep, err = pattern(q.Get("grep")); err != nil {
		return req, err
	}
	for _, name := range q["stream"] {
		if name != "out" && name != "err" && name != "log" {
			return req, badRequest("it is out, err or log", "parameter \"stream\" is %q", name)
		}
	}
	req.Streams = q["stream"]
	if req.Follow, err = toggle(q, "follow"); err == nil && req.Follow && !req.Until.IsZero() {
		err = badRequest("send one or the other", "both follow and until")
	}
	return req, err
}

// moment reads a point in time, or how long it is before now.
func moment(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := spec.ParseDuration(text); err == nil && d != spec.Forever {
		return time.Now().Add(-time.Duration(d)), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		err = badRequest("it is a time as in 2026-11-21T07:48:30Z, or a duration before now as in 10m", "parameter %q is %q", name, text)
	}
	return t, err
}

// pattern compiles a regular expression, "" for none.
func pattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		err = badRequest("RE2: https://golang.org/s/re2syntax", "parameter \"grep\": %v", err)
	}
	return re, err
}

func (a *api) serviceLogs(w http.ResponseWriter, r *http.Request) error {
	req, err := logRequest(r)
	if err != nil {
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
