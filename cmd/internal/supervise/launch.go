package supervise

import (
	"errors"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/internal/sys"
)

// newLaunch is for a process of s that is to be started.
func (e *Engine) newLaunch(s *service) supervised.Launch {
	l := supervised.Launch{
		Spawn: e.kernel.start, Identify: e.kernel.Identify, Spec: s.spec, Environ: e.o.Environ,
		Invocation: s.Invocation(), Group: s.Group(), NoGroup: e.cgroups.For(s.spec.Cgroup).Reason(),
		ReadyPipe: e.readyPipe(s.spec.Name), Lock: e.o.Lock, Room: e.room, Stuck: supervised.Stuck{Own: s.stuck, All: e.unanswered},
		Logs: e.logs, LogDir: e.o.LogDir, Stream: s.stream, Removing: e.removing[s.spec.Name],
	}
	if s.environ != nil {
		l.Environ, l.EnvironErr = s.environ.vars, s.environ.err
	}
	return l
}

// readyPipe is the FIFO of a service that says it is ready by writing to a descriptor. A pipe
// without a name would end with us, and the service by SIGPIPE; from this one a successor can read.
func (e *Engine) readyPipe(name string) string { return filepath.Join(e.o.RuntimeDir, "ready", name) }

// seeStuck takes note of what a failed start of s, or of a command of it, has left behind in the
// kernel.
func (e *Engine) seeStuck(s *service, failure error) {
	if errors.Is(failure, supervised.ErrStuck) {
		return // it has added nothing
	}
	stuck, ok := errors.AsType[*sys.StuckError](failure)
	if !ok || stuck.Returned == nil {
		return
	}
	s.stuck = stuck.Returned
	e.unanswered++
	go func() {
		select {
		case <-stuck.Returned:
			e.post(func() { e.unanswered-- })
		case <-e.loop.Ended():
		}
	}()
}
