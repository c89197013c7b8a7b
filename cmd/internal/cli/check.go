package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/pidfile"
)

func checkVerb(a *app) *verb {
	call := &instanceCall{}
	return &verb{
		options: []group{{"", call.options()}},
		run:     func(words []string) error { return a.check(call, words) },
	}
}

func (a *app) check(call *instanceCall, words []string) error {
	pid, err := a.checkedPID(call, words)
	if err != nil {
		return err
	}
	report, err := check.Process(pid, check.Options{PIDFile: call.pidfile})
	if err != nil {
		return &statusError{status: exitUnknown, err: err}
	}
	if call.json {
		err = a.writeJSON(report)
	} else {
		err = a.printReport(report)
	}
	switch {
	case err != nil:
		return unsaid(err)
	case report.Failed():
		return &statusError{status: exitFailed}
	case report.Count(check.Pass) == 0:
		return &statusError{status: exitUnknown}
	}
	return nil
}

// checkedPID is the process that is meant.
func (a *app) checkedPID(call *instanceCall, words []string) (int, error) {
	if call.pidfile != "" {
		if len(words) > 0 {
			return 0, usagef("%q and --pidfile: name one process", words[0])
		}
		return recordedPID(call.pidfile)
	}
	if len(words) != 1 {
		return 0, usagef("name one process: its pid, its service, or --pidfile")
	}
	pid, err := strconv.Atoi(words[0])
	if err != nil {
		return a.servicePID(words[0])
	}
	if pid < 1 {
		return 0, usagef("%d is not a pid", pid)
	}
	return pid, nil
}

// servicePID is the main process of a service.
func (a *app) servicePID(name string) (int, error) {
	s, err := a.reached()
	if err != nil {
		return 0, failure(err, exitUnknown, []string{name})
	}
	ctx, done := untilSignal()
	defer done()
	list, err := s.Status(ctx, control.StatusRequest{Names: []string{name}})
	switch {
	case err != nil:
		return 0, failure(interrupted(ctx, err, "the supervisor"), exitUnknown, []string{name})
	case len(list) != 1:
		return 0, usagef("%s stands for %s: name one of them",
			name, counted(len(list), "instance"))
	case list[0].PID == 0:
		return 0, statusf(exitUnknown, "%s: no process runs: %s", name, briefState(list[0]))
	}
	return list[0].PID, nil
}

// recordedPID is the pid in a file. Whether it is believed is for step 12 to
// say: what a stale file names is looked at too.
func recordedPID(path string) (int, error) {
	instance, err := pidfile.Find(path)
	if err != nil {
		return 0, &statusError{status: exitUnknown, err: err}
	}
	defer instance.Close() // it is looked at, not held
	switch {
	case instance.State == pidfile.Absent:
		return 0, statusf(exitUnknown, "pid file %s: %w", path, fs.ErrNotExist)
	case instance.State == pidfile.Dead || instance.PID == 0:
		return 0, statusf(exitUnknown, "pid file %s: %w", path,
			cmp.Or(instance.Why, errors.New("names no process")))
	}
	return instance.PID, nil
}

// printReport writes the table.
func (a *app) printReport(r check.Report) error {
	var b strings.Builder
	name := 0
	for _, step := range r.Steps {
		name = max(name, len(step.Name))
	}
	p := a.colours()
	for _, step := range r.Steps {
		colour, result := p.dim, "not observable"
		switch step.Result {
		case check.Pass:
			colour, result = p.good, "pass"
		case check.Fail:
			colour, result = p.bad, "fail"
		}
		fmt.Fprintf(&b, "%2d  %-*s  %s%-14s%s  %s\n", step.Number, name, step.Name, colour, result,
			p.reset, printable(step.Evidence))
		if step.Result == check.Fail {
			for _, detail := range step.Details {
				fmt.Fprintf(&b, "%*s- %s\n", 4+name+2+14+2, "", printable(detail))
			}
		}
	}
	fmt.Fprintf(&b, "process %d (%s): %d pass, %d fail, %d not observable\n", r.PID,
		printable(r.Command),
		r.Count(check.Pass), r.Count(check.Fail), r.Count(check.NotObservable))
	_, err := fmt.Fprint(a.out, b.String())
	return err
}
