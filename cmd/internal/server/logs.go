package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	logquery "github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// defaultLines is how much of a log is shown when nothing is said, as in tail(1), and mostLines how
// much can be asked for: to find the last ones they are held in memory. All of them are not.
const (
	defaultLines = 10
	mostLines    = 10_000
)

// logQuery reads the parameters.
func logQuery(r *http.Request) (req logquery.Query, err error) {
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
	if req.Last = defaultLines; !req.Since.IsZero() || !req.Until.IsZero() {
		req.Last = 0
	}
	if text := q.Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n > mostLines {
			return req, badRequest(
				fmt.Sprintf("it is a number of lines, %d at most; -1 is all", mostLines),
				"parameter \"n\" is %q", text,
			)
		}
		if req.Last = max(0, n); n == 0 { // none of what is there
			req.Since = time.Now()
		}
	}
	if req.Grep, err = pattern(q.Get("grep")); err != nil {
		return req, err
	}
	for _, name := range q["stream"] {
		stream, ok := line.StreamNamed(name)
		if !ok {
			return req, badRequest("it is out, err or log", "parameter \"stream\" is %q", name)
		}
		req.Streams = append(req.Streams, stream)
	}
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
		err = badRequest(
			"it is a time as in 2026-11-21T07:48:30Z, or a duration before now as in 10m",
			"parameter %q is %q", name, text,
		)
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
	q, err := logQuery(r)
	if err != nil {
		return err
	}
	service, err := a.engine.Spec(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	found := logquery.OfService(service, a.about.LogDir)
	for _, l := range found {
		var hint *spec.HintError
		if err := l.CheckTells(); len(q.Streams) > 0 && errors.As(err, &hint) {
			return failed(control.NotDone, hint.Hint, "%s", hint.Message)
		}
	}
	out := &logWriter{w: w}
	if q.Follow { // the first line may be long in coming
		if err := out.begin(); err != nil {
			return nil // the client has gone
		}
	}
	var text []byte
	err = logquery.Run(r.Context(), found, q, func(rec logquery.Record) error {
		text = append(append(text[:0], rec.Text...), '\n')
		_, err := out.Write(text)
		return err
	})
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
	begin(o.w, http.StatusOK, "text/plain; charset=utf-8")
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
