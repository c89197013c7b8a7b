package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// foundLog is a log file and what is known of it.
type foundLog struct {
	query.Log
	apart bool // standard output and error have a file each, so the file says which a line is of
	gone  bool // there is no such service any more
	// trouble is why what the service prints cannot be written there.
	trouble string
}

// dated says that its lines have time stamps.
func (l foundLog) dated() bool { return l.Format.JSON || l.Format.Stamp != line.NoStamp }

// tells says that it can be told which stream a line is of.
func (l foundLog) tells() bool { return l.apart || l.Format.Mark }

func logsIn(found []foundLog) []query.Log {
	var list []query.Log
	for _, l := range found {
		list = append(list, l.Log)
	}
	return list
}

// telling leaves out the logs that do not say which stream a line is of: one that was asked for by
// name is an error.
func telling(found []foundLog, named bool) ([]foundLog, error) {
	var list []foundLog
	for _, l := range found {
		switch {
		case l.tells():
			list = append(list, l)
		case named:
			return nil, &statusError{
				status: exitFailed,
				err:    fmt.Errorf("%s: its log does not tell standard output from standard error", l.Service),
				hint:   `log.stream = true marks each line, log.error_file puts standard error apart`,
			}
		}
	}
	return list, nil
}

// findLogs finds the log files of services.
func (a *app) findLogs(ctx context.Context, names []string) ([]foundLog, error) {
	s, err := a.session()
	if s == nil {
		return nil, err
	}
	var found []control.Status
	if err == nil {
		found, err = s.Status(ctx, control.StatusRequest{Names: names, Spec: true})
	}
	var list []foundLog
	if errors.Is(err, control.NotFound) {
		found, list, err = s.withRemoved(ctx, names)
	}
	if absent(err) {
		return filesOf(s.paths.Log, names)
	}
	if err != nil {
		return nil, failure(err, exitFailed, names)
	}
	for _, st := range found {
		for _, l := range logsOf(*st.Spec, s.paths.Log) {
			l.trouble = st.LogError
			list = append(list, l)
		}
	}
	if len(list) == 0 && len(names) > 0 {
		return nil, fmt.Errorf("%s: what it prints goes to no file", strings.Join(names, ", "))
	}
	return list, nil
}

// withRemoved tells the services that there are among names from those of which only a log is left,
// in the log directory. Where not even that is left it is an error.
func (s *session) withRemoved(ctx context.Context, names []string) (found []control.Status, left []foundLog, err error) {
	all, err := s.Status(ctx, control.StatusRequest{Spec: true})
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		before := len(found)
		for _, st := range all {
			if base, _, _ := strings.Cut(st.Name, "@"); st.Name == name || base == name {
				found = append(found, st)
			}
		}
		if len(found) > before {
			continue
		}
		list, err := filesOf(s.paths.Log, []string{name})
		if err != nil {
			_, missing := s.Status(ctx, control.StatusRequest{Names: []string{name}})
			return nil, nil, firstError(missing, err)
		}
		left = append(left, list...)
	}
	return found, left, nil
}

// logsOf are the files that the output of a service goes to; s has its defaults.
func logsOf(s spec.Service, dir string) []foundLog {
	var list []foundLog
	add := func(path string, format line.Format, stream line.Stream) {
		if !slices.ContainsFunc(list, func(l foundLog) bool { return l.Path == path }) {
			list = append(list, foundLog{Log: query.Log{Service: s.Name, Path: path, Format: format, Stream: stream}})
		}
	}
	if s.Stdout.Path != "" {
		add(s.Stdout.Path, line.Format{}, line.Out)
	}
	if s.Stderr.Path != "" {
		add(s.Stderr.Path, line.Format{}, line.Err)
	}
	if slices.ContainsFunc(s.Log.Targets, func(t spec.LogTarget) bool { return t.Kind == spec.TargetFile }) {
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
	}
	apart := slices.ContainsFunc(list, func(l foundLog) bool { return l.Stream == line.Err })
	for i := range list {
		list[i].apart = apart
	}
	return list
}

// logExt ends the name of a log that the description gives none.
const logExt = ".log"

// filesOf are the logs in the log directory, where nobody can be asked what a service has chosen.
func filesOf(dir string, names []string) ([]foundLog, error) {
	if len(names) == 0 {
		files, err := filepath.Glob(filepath.Join(dir, "*"+logExt))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), logExt))
		}
	}
	var list []foundLog
	for _, name := range names {
		if err := spec.CheckName(name); err != nil {
			return nil, fmt.Errorf("%s: no such service", name)
		}
		path := filepath.Join(dir, name+logExt)
		switch _, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &statusError{
				status: exitFailed,
				err:    fmt.Errorf("%s: no supervisor is running, and there is no %s", name, path),
			}
		case err != nil:
			return nil, &statusError{status: exitFailed, err: fmt.Errorf("%s: no supervisor is running: %w", name, err)}
		}
		format, err := query.Detect(path)
		if err != nil {
			return nil, fmt.Errorf("log of %s: %w", name, err)
		}
		list = append(list, foundLog{Log: query.Log{Service: name, Path: path, Format: format}})
	}
	return list, nil
}
