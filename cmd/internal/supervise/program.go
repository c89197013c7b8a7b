package supervise

import (
	"os"

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
