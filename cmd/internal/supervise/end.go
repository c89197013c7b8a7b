package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/internal/sys"
)

// shutdown ends everything, in order. What was wanted stays wanted, for the next supervisor.
func (e *Engine) shutdown() {
	e.shared.Closing = true
	var all []*service
	for _, s := range e.services.Sorted() {
		if (s.State() != Stopped || s.rolling.replacement != nil) && !s.Unproven() {
			all = append(all, s)
		}
	}
	e.unwant(all, "the supervisor is shutting down", waiters.End)
	for _, s := range all {
		s.LeaveBehind()
	}
}

// over says whether Run has nothing left to do.
func (e *Engine) over() bool {
	return e.shared.Closing && e.shared.Alive() == 0 && e.procs.Idle() && !e.loop.Busy() &&
		!e.keeper.Busy()
}

// close closes what is open; with groups also the control groups, unless something is in them.
func (e *Engine) close(groups bool) error {
	var errs []error
	if e.spawner != nil {
		e.spawner.Close()
	}
	errs = append(errs, e.procs.Close())
	errs = append(errs, e.hearing.Close(), e.handover.Close())
	if e.logs != nil && !e.logsEnd.begun {
		errs = append(errs, e.logs.Close())
	}
	if groups && e.shared.Alive() == 0 && !e.leavesBehind() {
		errs = append(errs, e.cgroups.Close())
	}
	return errors.Join(append(errs, e.logsEnd.err)...)
}

// endDisk is what an engine that has ended every service does last: of what may still run the next
// supervisor has to know.
func (e *Engine) endDisk() error {
	if e.leavesBehind() {
		return e.keeper.Leave()
	}
	return e.keeper.End()
}

// leavesBehind says whether there is what may run and is not ours to end.
func (e *Engine) leavesBehind() bool {
	return len(e.unknown) > 0 ||
		slices.ContainsFunc(e.services.Sorted(), func(s *service) bool { return s.Unproven() })
}

// logsEnd is the end of the log engine and of the programs it feeds, while the owner still takes in
// the dead: the engine writes what it has, which may need a program started once more; then the
// programs find the end of their input.
type logsEnd struct {
	begun, closed, over bool
	err                 error
}

// endLogs goes on with it and says whether it is over.
func (e *Engine) endLogs() bool {
	end := &e.logsEnd
	switch {
	case e.logs == nil || end.over:
		return true
	case !end.begun:
		end.begun = true
		go func() {
			ctx, cancel := context.WithTimeoutCause(context.Background(), logsEndTime,
				fmt.Errorf("not within %v", logsEndTime))
			defer cancel()
			_, err := sys.Within(ctx, "close the logs",
				func() (struct{}, error) { return struct{}{}, e.logs.Close() }, nil)
			e.post(func() {
				end.closed, end.err = true, err
				time.AfterFunc(programGrace, func() { e.post(e.killPrograms) })
			})
		}()
		return false
	}
	return end.closed && len(e.procs.Programs()) == 0 && !e.procs.Expecting()
}

// logsEndTime is how long the end waits for the log engine: a file system may not answer.
const logsEndTime = 10 * time.Second

// Time that a program has after the end of its input to end by itself, and after SIGKILL to be
// gone.
const (
	programGrace = 5 * time.Second
	killGrace    = 2 * time.Second
)

// killPrograms ends the log programs that do not end with their input.
func (e *Engine) killPrograms() {
	for _, p := range e.procs.Programs() {
		err := e.procs.EndProgram(p)
		e.o.Trouble(
			errors.Join(
				fmt.Errorf("log program, process %d: did not end within %v after its input; killed",
					p.PID, programGrace),
				err,
			),
		)
	}
	time.AfterFunc(killGrace, func() {
		e.post(func() {
			for _, p := range e.procs.Programs() {
				e.o.Trouble(fmt.Errorf("log program, process %d: cannot be killed; left behind",
					p.PID))
			}
			e.logsEnd.over = true
		})
	})
}
