package supervised

import (
	"errors"
	"fmt"
)

// A start that waits for a file system that does not answer is given up, and what it has asked goes
// on waiting in the kernel: a thread of ours that nothing ends, or a process that does not die. So
// nothing more is asked for a service until that has come back, and there is a bound for all
// services together.

// mostUnanswered is that bound. The Go runtime ends a program that has 10,000 threads
// (debug.SetMaxThreads).
const mostUnanswered = 1000

// Stuck is what starts wait for in vain at the time of another one.
type Stuck struct {
	// closed when what an earlier one of the service has asked has come back; nil: nothing
	Own <-chan struct{}
	// of all services
	All int
}

var ErrStuck = errors.New("the file system still has not answered what an earlier start asked it")

// still refuses what would add to that.
func (s Stuck) still() error {
	if s.All >= mostUnanswered {
		return fmt.Errorf("%d starts wait for file systems that do not answer, and no more may",
			s.All)
	}
	if s.Own == nil {
		return nil
	}
	select {
	case <-s.Own:
		return nil
	default:
		return ErrStuck
	}
}
