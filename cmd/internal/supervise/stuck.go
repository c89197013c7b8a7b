package supervise

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/internal/sys"
)

// A start that waits for a file system that does not answer is given up, and what it has asked goes
// on waiting in the kernel: a thread of ours that nothing ends, or a process that does not die. So
// nothing more is asked for a service until that has come back, and there is a bound for all
// services together.

// mostUnanswered is that bound. The Go runtime ends a program that has 10,000 threads
// (debug.SetMaxThreads).
const mostUnanswered = 1000

// stuck is what starts wait for in vain at the time of another one.
type stuck struct {
	own <-chan struct{} // closed when what an earlier one of the service has asked has come back; nil: nothing
	all int             // of all services
}

var errStuck = errors.New("the file system still has not answered what an earlier start asked it")

// still refuses what would add to that.
func (s stuck) still() error {
	if s.all >= mostUnanswered {
		return fmt.Errorf("%d starts wait for file systems that do not answer, and no more may", s.all)
	}
	if s.own == nil {
		return nil
	}
	select {
	case <-s.own:
		return nil
	default:
		return errStuck
	}
}

func (e *Engine) stuckFor(s *service) stuck { return stuck{s.stuck, e.unanswered} }

// seeStuck takes note of what a failed start of s, or of a command of it, has left behind in the
// kernel.
func (e *Engine) seeStuck(s *service, failure error) {
	if errors.Is(failure, errStuck) {
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
