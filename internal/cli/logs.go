package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/logs/line"
	"github.com/daemonry/daemonry/internal/logs/query"
	"github.com/daemonry/daemonry/internal/logs/target"
	"github.com/daemonry/daemonry/internal/server"
	"github.com/daemonry/daemonry/spec"
)

// defaultLines is how much of a log is shown when nothing is said, as in tail(1).
const defaultLines = 10

// logsCall is what the words of "daemonry logs" ask for.
type logsCall struct {
	query.Query
	since *spec.Duration
}

func logsVerb(a *app) *verb {
	call := &logsCall{Query: query.Query{Last: defaultLines}}
	return &verb{
		page: page{
			name:     "logs",
			short:    "print what services have printed",
			synopsis: []string{"daemonry logs [-f] [-n LINES] [OPTION…] [NAME…]"},
			about: []string{
				"The last lines of the services named, or of all, from their log files and those that rotation has put aside, compressed or not. With several services each line begins with the name of its own. The supervisor need not run; without it the services are those that have a file in the log directory.",
			},
			options: []group{{"", []option{
				{"f, follow", "", "Go on with what is printed, over rotations, until interrupted.", "", toggle(&call.Follow)},
				{"n, lines", "LINES", "The last LINES lines, or \"all\".", strconv.Itoa(defaultLines), parsed(&call.Last, lineCount)},
				{"since", "DURATION", "Only what is not older, as far as its log has times.", "", parsedTo(&call.since, spec.ParseDuration)},
				{"grep", "REGEXP", "Only lines that match (RE2).", "", parsed(&call.Grep, regexp.Compile)},
			}}},
			statuses: []row{
				{"0", "printed, if it is nothing"},
				{"1", "there is no such service, or a log cannot be read"},
				{"128+N", "signal N ended it"},
				{"2", "wrong usage"},
			},
			examples: []row{
				{"daemonry logs web", "The last lines of one:"},
				{"daemonry logs -n 100 db web", "More, of two:"},
			},
			seeAlso: []string{"daemonry events", "daemonry status"},
		},
		run: func(words []string) error { return a.logs(call, words) },
	}
}

// lineCount reads a number of lines; 0 means all of them to package query.
func lineCount(text string) (int, error) {
	if text == "all" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &spec.HintError{Message: fmt.Sprintf("%q is no number of lines", text), Hint: `1 or more, or "all"`}
	}
	return n, nil
}

func (a *app) logs(call *logsCall, names []string) error {
	ctx, done := untilSignal()
	defer done()
	list, err := a.findLogs(ctx, names)
	if err != nil {
		return err
	}
	if call.since != nil {
		call.Since = time.Now().Add(-time.Duration(*call.since))
	}
	return cut(ctx, query.Run(ctx, list, call.Query, a.lines(list).emit))
}

// findLogs finds the log files of services.
func (a *app) findLogs(ctx context.Context, names []string) ([]query.Log, error) {
	s, err := a.session()
	if s == nil {
		return nil, err
	}
	var found []control.Status
	if err == nil {
		found, err = s.Status(ctx, control.StatusRequest{Names: names})
	}
	if absent(err) {
		return filesOf(s.paths.Log, names)
	}
	if err != nil {
		return nil, failure(err, exitFailed, names)
	}
	var list []query.Log
	for _, st := range found {
		described, err := s.Spec(ctx, st.Name)
		if err != nil {
			return nil, failure(err, exitFailed, names)
		}
		list = append(list, logsOf(described, s.paths.Log)...)
	}
	if len(list) == 0 && len(names) > 0 {
		return nil, fmt.Errorf("%s: what it prints goes to no file", strings.Join(names, ", "))
	}
	return list, nil
}

// logsOf are the files that the output of a service goes to; s has its defaults.
func logsOf(s spec.Service, dir string) []query.Log {
	var list []query.Log
	add := func(path string, format line.Format, stream line.Stream) {
		if !slices.ContainsFunc(list, func(l query.Log) bool { return l.Path == path }) {
			list = append(list, query.Log{Service: s.Name, Path: path, Format: format, Stream: stream})
		}
	}
	for _, out := range []spec.Stream{s.Stdout, s.Stderr} {
		if out.Path != "" {
			add(out.Path, line.Format{}, line.Out)
		}
	}
	if !slices.ContainsFunc(s.Log.Targets, func(t spec.LogTarget) bool { return t.Kind == spec.TargetFile }) {
		return list
	}
	format := line.Format{Mark: s.Log.Stream, JSON: s.Log.Format == spec.LogJSON}
	switch s.Log.Timestamp {
	case spec.TimestampUTC:
		format.Stamp = line.UTC
	case spec.TimestampLocal:
		format.Stamp = line.Local
	}
	add(firstOf(s.Log.File, filepath.Join(dir, s.Name+logExt)), format, line.Out)
	if s.Log.ErrorFile != "" {
		add(s.Log.ErrorFile, format, line.Err)
	}
	return list
}

// logExt ends the name of a log that the description gives none.
const logExt = ".log"

// filesOf are the logs in the log directory, where nobody can be asked what a service has chosen.
func filesOf(dir string, names []string) ([]query.Log, error) {
	if len(names) == 0 {
		files, err := filepath.Glob(filepath.Join(dir, "*"+logExt))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), logExt))
		}
	}
	var list []query.Log
	for _, name := range names {
		if err := spec.CheckName(name); err != nil {
			return nil, fmt.Errorf("%s: no such service", name)
		}
		path := filepath.Join(dir, name+logExt)
		if _, err := os.Stat(path); err != nil {
			return nil, &statusError{
				status: exitFailed,
				err:    fmt.Errorf("%s: no supervisor is running, and there is no %s: %w", name, path, err),
			}
		}
		list = append(list, query.Log{Service: name, Path: path})
	}
	return list, nil
}

// lineWriter writes lines of services, with their names if there are several.
type lineWriter struct {
	dest target.Dest
	out  io.Writer
	many bool
}

func (a *app) lines(list []query.Log) *lineWriter {
	w := &lineWriter{out: a.out}
	f, ok := a.out.(*os.File)
	if !ok {
		return w
	}
	width := new(atomic.Int32)
	for _, l := range list {
		w.many = w.many || l.Service != list[0].Service
		width.Store(max(width.Load(), int32(len(l.Service))))
	}
	w.dest = target.NewConsole(target.Console{File: f, Color: a.colours() != palette{}, Width: width, Bare: !w.many})
	return w
}

// errNoOutput is for a standard output that is no file, which only tests have.
var errNoOutput = errors.New("standard output is no file")

func (w *lineWriter) emit(r query.Record) error {
	if w.dest == nil {
		return errNoOutput
	}
	_, err := w.dest.Send([]target.Record{{Service: r.Service, Stream: r.Stream, Time: r.Time, Text: r.Text}})
	return err
}

// logReader reads logs for the API.
type logReader struct{ dir string }

// ReadLog is that of server.LogReader.
func (l logReader) ReadLog(ctx context.Context, w io.Writer, r server.LogRequest) error {
	q := query.Query{Follow: r.Follow, Last: max(0, r.Lines)}
	if r.Lines == 0 {
		q.Since = time.Now()
	}
	var text []byte
	return query.Run(ctx, logsOf(r.Service, l.dir), q, func(rec query.Record) error {
		text = append(append(text[:0], rec.Text...), '\n')
		_, err := w.Write(text)
		return err
	})
}
