package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// foundLog is a log file and what is known of it.
type foundLog struct {
	query.Log
	gone bool // there is no such service any more
	// trouble is why what the service prints cannot be written there.
	trouble string
}

func logsIn(found []foundLog) []query.Log {
	return each(found, func(l foundLog) query.Log { return l.Log })
}

// telling leaves out the logs that do not say which stream a line is of: one that was asked for by
// name is an error.
func telling(found []foundLog, named bool) ([]foundLog, error) {
	var list []foundLog
	for _, l := range found {
		err := l.CheckTells()
		if err == nil {
			list = append(list, l)
		} else if named {
			return nil, err
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
		for _, l := range query.OfService(*st.Spec, s.paths.Log) {
			list = append(list, foundLog{Log: l, trouble: st.LogError})
		}
	}
	if len(list) == 0 && len(names) > 0 {
		return nil, fmt.Errorf("%s: what it prints goes to no file", strings.Join(names, ", "))
	}
	return list, nil
}

// withRemoved tells the services that there are among names from those of which only a log is left,
// in the log directory. Where not even that is left it is an error.
func (s *session) withRemoved(
	ctx context.Context, names []string,
) (found []control.Status, left []foundLog, err error) {
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
			return nil, nil, cmp.Or(missing, err)
		}
		left = append(left, list...)
	}
	return found, left, nil
}

// filesOf are the logs in the log directory, where nobody can be asked what a service has chosen.
func filesOf(dir string, names []string) (list []foundLog, err error) {
	var logs []query.Log
	if len(names) == 0 {
		logs, err = query.InDir(dir, false)
	}
	for _, name := range names {
		if err := spec.CheckName(name); err != nil {
			return nil, fmt.Errorf("%s: no such service", name)
		}
		logs = append(logs, query.Named(name, dir))
	}
	for _, l := range logs {
		switch _, err := os.Stat(l.Path); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: no supervisor is running, and there is no %s",
				l.Service, l.Path)
		case err != nil:
			return nil, fmt.Errorf("%s: no supervisor is running: %w", l.Service, err)
		}
		if l.Format, err = query.Detect(l.Path); err != nil {
			return nil, fmt.Errorf("log of %s: %w", l.Service, err)
		}
		list = append(list, foundLog{Log: l})
	}
	return list, err
}
