package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// startProgram starts the program of a log target, "pipe:COMMAND"; see logs.Options.StartProgram.
// It runs as the service would, but is none of its processes: it outlives them, so that it can read
// their last words. It is called by the log engine's goroutines and waits for the owner, who
// therefore never waits for the log engine.
func (e *Engine) startProgram(id, command string, stdin *os.File) (<-chan struct{}, error) {
	argv, err := spec.ParseCommand(command)
	if err != nil {
		return nil, err
	}
	type answer struct {
		exited chan struct{}
		err    error
	}
	answers := make(chan answer, 1)
	e.post(func() {
		s := e.services.Named(id)
		if s == nil {
			answers <- answer{err: e.services.NotFound(id)}
			return
		}
		l := s.NewLaunch()
		birth := e.procs.Expect()
		// Not one of the engine's jobs, of which only so many run at a time: all of those may be
		// waiting for room in a log that this very program is to read.
		birth.DoApart(func() func() {
			pid, err := l.StartProgram(argv, stdin)
			return func() {
				if err != nil {
					birth.None(nil)
					answers <- answer{err: err}
					return
				}
				answers <- answer{exited: birth.Program(pid).Exited}
			}
		})
	})
	select {
	case a := <-answers:
		return a.exited, a.err
	case <-e.loop.Ended():
		return nil, ErrClosed
	}
}

// logsEndTime is how long the end waits for the log engine: a file system may not answer.
const logsEndTime = 10 * time.Second

// Time that a program has after the end of its input to end by itself, and after SIGKILL to be
// gone.
const (
	programGrace = 5 * time.Second
	killGrace    = 2 * time.Second
)

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

// killPrograms ends those that do not end with their input.
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
