package cli

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// defaultLines is how much of a log is shown when nothing is said, as in tail(1).
const defaultLines = 10

// logsCall is what the words of "daemonry logs" ask for.
type logsCall struct {
	query.Query
	lines        *int // 0: all; nil: nothing was said
	json, bare   bool
	disk, reopen bool // in place of printing
}

func logsVerb(a *app) *verb {
	call := &logsCall{}
	return &verb{
		options: logsOptions(call),
		run:     func(words []string) error { return a.logs(call, words) },
	}
}

func logsOptions(call *logsCall) []group {
	return []group{
		{"Which lines", []option{
			{"n, lines", "LINES", strconv.Itoa(defaultLines) + ", with --since or --until all",
				parsedTo(&call.lines, lineCount)},
			{"since", "TIME", "", parsed(&call.Since, momentBefore(time.Now))},
			{"until", "TIME", "", parsed(&call.Until, momentBefore(time.Now))},
			{"grep", "REGEXP", "", parsed(&call.Grep, regexp.Compile)},
			{"stream", "NAME", "both", appended(&call.Streams, streamName)},
			{"f, follow", "", "", toggle(&call.Follow)},
		}},
		{"How they are shown", []option{
			{"bare", "", "", toggle(&call.bare)},
			{"json", "", "", toggle(&call.json)},
			{"disk", "", "", toggle(&call.disk)},
		}},
		{"For who renames them", []option{
			{"reopen", "", "", toggle(&call.reopen)},
		}},
	}
}

// lineCount reads a number of lines; 0 means all of them to package query.
func lineCount(text string) (int, error) {
	if text == "all" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &spec.HintError{Message: fmt.Sprintf("%q is no number of lines", text),
			Hint: `1 or more, or "all"`}
	}
	return n, nil
}

func streamName(text string) (line.Stream, error) {
	s, ok := line.StreamNamed(text)
	if !ok {
		return s, &spec.HintError{Message: fmt.Sprintf("%q is not a stream", text),
			Hint: "out, err or log"}
	}
	return s, nil
}

// momentForms are times by the clock of whoever asks, and all that they begin with. What a form
// leaves out is zero, or the first; the date today's.
var momentForms = []string{
	"2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15",
	"2006-01-02 15", time.DateOnly, "2006-01", "2006",
	time.TimeOnly, "15:04",
}

// momentBefore reads a point in time, or how long it is before now.
func momentBefore(now func() time.Time) func(string) (time.Time, error) {
	return func(text string) (time.Time, error) {
		if d, err := spec.ParseDuration(text); err == nil && d >= 0 && d != spec.Forever {
			return now().Add(-time.Duration(d)), nil
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t, nil
		}
		for _, form := range momentForms {
			t, err := time.ParseInLocation(form, text, time.Local)
			if err != nil {
				continue
			}
			if t.Year() == 0 {
				n := now().In(time.Local)
				t = time.Date(n.Year(), n.Month(), n.Day(), t.Hour(), t.Minute(), t.Second(),
					t.Nanosecond(), time.Local)
			}
			return t, nil
		}
		return time.Time{}, &spec.HintError{Message: fmt.Sprintf("%q is not a time", text),
			Hint: `as in 2026-11-21T07:48:30Z, "2026-11-21 07:48", 07:48 or 10m (ago)`}
	}
}

func (a *app) logs(call *logsCall, names []string) error {
	if err := call.check(); err != nil {
		return err
	}
	if call.reopen {
		return a.reopenLogs(names)
	}
	ctx, done := untilSignal()
	defer done()
	if call.disk {
		return a.logsDisk(ctx, call, names)
	}
	found, err := a.findLogs(ctx, names)
	if err == nil && len(call.Streams) > 0 {
		found, err = telling(found, len(names) > 0)
	}
	if err != nil {
		return err
	}
	a.warnUndated(call, found)
	emit := a.lines(found, call.bare).emit
	if call.json {
		emit = a.jsonLines(found).emit
	}
	incomplete := unwritten(found)
	if call.Follow && incomplete != nil {
		a.explain(program, incomplete) // which is not to be waited for
		incomplete = &statusError{status: exitFailed}
	}
	return cmp.Or(cut(ctx, query.Run(ctx, logsIn(found), call.Query, emit)), incomplete)
}

// unwritten is the error of logs that lack what could not be written.
func unwritten(found []foundLog) error {
	var errs []error
	for i, l := range found {
		if l.trouble != "" && (i == 0 || found[i-1].Service != l.Service) {
			errs = append(errs, fmt.Errorf("%s: its log cannot be written, "+
				"and lacks what it has printed since: %s", l.Service, l.trouble))
		}
	}
	return errors.Join(errs...)
}

// check refuses what does not go together, and says how many lines are wanted.
func (c *logsCall) check() error {
	timed := !c.Since.IsZero() || !c.Until.IsZero()
	switch {
	case c.Follow && !c.Until.IsZero():
		return usagef("--follow and --until: name one or the other")
	case c.bare && c.json:
		return usagef("--bare and --json: name one or the other")
	}
	printing := timed || c.Follow || c.bare || c.lines != nil || c.Grep != nil || len(c.Streams) > 0
	switch {
	case c.disk && (printing || c.reopen):
		return usagef("--disk prints no lines: of the other options only --json goes with it")
	case c.reopen && (printing || c.json):
		return usagef("--reopen prints nothing: no other option goes with it")
	}
	switch {
	case c.lines != nil:
		c.Last = *c.lines
	case !timed:
		c.Last = defaultLines
	}
	return nil
}

// reopenLogs has log files opened anew. One that was killed has left services, which its successor
// carries on.
func (a *app) reopenLogs(names []string) error {
	s, err := a.reached()
	if err == nil {
		ctx, done := untilSignal()
		defer done()
		err = s.ReopenLogs(ctx, control.Names{Names: names, All: len(names) == 0})
	}
	if absent(err) && len(names) == 0 {
		return nil // nobody has any open
	}
	return failure(err, exitFailed, names)
}

// warnUndated says of which services times are not known line by line, where that matters.
func (a *app) warnUndated(call *logsCall, found []foundLog) {
	if call.Since.IsZero() && call.Until.IsZero() {
		return
	}
	var undated []string
	for _, l := range found {
		if !l.Dated() && !slices.Contains(undated, l.Service) {
			undated = append(undated, l.Service)
		}
	}
	if len(undated) > 0 {
		fmt.Fprintf(a.err, "%s: %s: no time stamps in the log: lines count as late as their file\n",
			program, strings.Join(undated, ", "))
	}
}

// errNoOutput is for a standard output that is no file, which only tests have.
var errNoOutput = errors.New("standard output is no file")
