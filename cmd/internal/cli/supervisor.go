package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// supervisorCall is what the words of "daemonry supervisor" ask for.
type supervisorCall struct {
	json bool
	logBudget
}

// logBudget is an option of whoever becomes a supervisor.
type logBudget struct{ budget *spec.ByteSize }

func (b *logBudget) option() option {
	return option{"log-budget", "SIZE", "log_budget in [supervisor], or no bound",
		parsedTo(&b.budget, spec.ParseByteSize)}
}

// over has the option count more than the setting.
func (b *logBudget) over(settings *native.Supervisor) {
	if b.budget != nil {
		settings.LogBudget = *b.budget
	}
}

func supervisorVerb(a *app) *verb {
	call := &supervisorCall{}
	return &verb{
		options: []group{
			{"", []option{{"json", "", "", toggle(&call.json)}, call.logBudget.option()}},
		},
		run: func(words []string) error { return a.supervisorCommand(call, words) },
	}
}

func (a *app) supervisorCommand(call *supervisorCall, words []string) error {
	if len(words) > 0 {
		switch words[0] {
		case "upgrade":
			return a.supervisorUpgrade(call, words[1:])
		case successor.Verb[1]:
			return a.checkState(words[1:])
		}
	}
	if len(words) != 1 {
		return usagef("one of start, stop, status, upgrade and run is needed").
			advise("daemonry supervisor start")
	}
	if call.budget != nil && words[0] != "run" {
		return usagef("--log-budget is for \"supervisor run\": "+
			"set log_budget in [supervisor] of %s instead", native.DefaultName)
	}
	switch words[0] {
	case "start":
		return a.supervisorStart(call)
	case "stop":
		return a.supervisorStop()
	case "status":
		return a.supervisorStatus(call)
	case "run":
		return a.supervisorRun(call)
	}
	return usagef("%q is none of start, stop, status, upgrade and run", words[0])
}

func (a *app) supervisorStart(call *supervisorCall) error {
	ctx, done := untilSignal()
	defer done()
	s, err := a.ensured(ctx)
	if err != nil {
		return err
	}
	return a.aboutSupervisor(ctx, s, call.json)
}

func (a *app) supervisorStatus(call *supervisorCall) error {
	ctx, done := untilSignal()
	defer done()
	s, err := a.session()
	if err == nil {
		err = a.aboutSupervisor(ctx, s, call.json)
	}
	killed := s != nil && err != nil && !errors.As(err, new(*silentError)) &&
		!errors.As(err, new(*lostError)) && s.killed(ctx)
	if absent(err) || killed {
		e := &statusError{status: exitNotRunning, err: errNoSupervisor}
		if killed {
			e.err = errors.New("no supervisor is running: " +
				"the last one was killed, and its services may still run")
			e.hint = "daemonry supervisor start takes them over"
			if s.ofRun() {
				e.hint = "it was a \"daemonry run\": the same one again takes them over"
			}
		}
		return e
	}
	return failure(err, exitUnknown, nil)
}

func (a *app) aboutSupervisor(ctx context.Context, s *session, asJSON bool) error {
	about, err := s.Supervisor(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(about)
	}
	took := ""
	if about.Adopted > 0 {
		took = fmt.Sprintf(", %d of them taken over from an earlier one", about.Adopted)
	}
	_, err = fmt.Fprintf(a.out, "supervisor: running: process %d, version %s, for %s, %s%s\n",
		about.PID, about.Version,
		span(time.Duration(about.Uptime)), counted(about.Services, "service"), took)
	return err
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// supervisorStop returns when the process has ended, not only its services: what comes
// next may be another supervisor.
func (a *app) supervisorStop() error {
	ctx, done := untilSignal()
	defer done()
	s, err := a.reached() // one that was killed has left services
	if lost, ok := errors.AsType[*lostError](err); ok {
		return a.stopLost(ctx, lost)
	}
	var about control.Supervisor
	if err == nil {
		about, err = s.Supervisor(ctx)
	}
	if absent(err) {
		_, err := fmt.Fprintln(a.out, "supervisor: not running")
		return err
	}
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	process, err := sys.Pin(about.PID)
	if err != nil {
		return err
	}
	defer process.Close()
	// That it is still the one that answered: a pid alone proves nothing.
	if again, err := s.Supervisor(ctx); err != nil || again.PID != about.PID {
		return failure(errors.Join(err, errors.New("the supervisor was exchanged meanwhile")),
			exitFailed, nil)
	}
	stop, err := a.supervisorStopper(ctx, s, about.PID)
	if err != nil {
		return err
	}
	err = a.watching(ctx, s, nil, isDown, stop)
	if err != nil {
		return unawaited(ctx, err, "the supervisor to end", nil)
	}
	if err := awaitLeave(ctx, process, leaveTime); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "supervisor: stopped: process %d\n", about.PID)
	return err
}

// runningSupervisor is nil if none runs.
func (a *app) runningSupervisor(ctx context.Context) (*control.Supervisor, error) {
	s, err := a.session()
	var about control.Supervisor
	if err == nil {
		about, err = s.Supervisor(ctx)
	}
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, failure(err, exitFailed, nil)
	}
	return &about, nil
}

// leaveTime is how long a supervisor may take to be gone that has nothing left to do.
const leaveTime = 15 * time.Second

// awaitLeave waits until the process of a supervisor that has ended its services is gone, so long.
func awaitLeave(ctx context.Context, process *sys.Process, limit time.Duration) error {
	notGone := fmt.Errorf("the supervisor has ended its services, "+
		"and process %d is not gone after %v: "+
		"a thread of it waits in the kernel, for a file system that does not answer",
		process.PID, limit)
	limited, cancel := context.WithTimeoutCause(ctx, limit, notGone)
	defer cancel()
	err := process.Wait(limited)
	if err != nil && ctx.Err() == nil && context.Cause(limited) == notGone {
		return failure(notGone, exitFailed, nil)
	}
	if err != nil {
		return interrupted(ctx, err, "the supervisor to end")
	}
	return nil
}

// stopLost ends a supervisor that cannot be asked to end.
func (a *app) stopLost(ctx context.Context, lost *lostError) error {
	if lost.pid == 0 {
		return failure(lost, exitFailed, nil)
	}
	process, err := sys.Pin(lost.pid)
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	defer process.Close()
	// That it is still the one that holds the lock: a pid alone proves nothing.
	if pid, held := server.Holder(lost.state); !held || pid != lost.pid {
		return failure(errors.New("the supervisor was exchanged meanwhile"), exitFailed, nil)
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		return failure(fmt.Errorf("%w; SIGTERM: %w", lost, err), exitFailed, nil)
	}
	if err := process.Wait(ctx); err != nil {
		return interrupted(ctx, err, "the supervisor to end")
	}
	_, err = fmt.Fprintf(a.out, "supervisor: stopped: process %d\n", lost.pid)
	return err
}
