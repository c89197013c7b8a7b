//go:build unix && !aix

package spawn

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// attempt is a start from a thread of ours. Whoever waits for it may give it up until it forks, and
// leaves the thread behind then: one that waits in the kernel cannot be ended.
type attempt struct {
	d       *description
	decided atomic.Bool // to fork, or to give up
	at      place
	pid     int
	err     error
	done    chan struct{}
}

// errGivenUp ends an attempt that nobody waits for any more.
var errGivenUp = errors.New("given up")

func newAttempt(d *description) *attempt {
	a := &attempt{d: d, done: make(chan struct{})}
	d.shared = true
	d.reached = a.at.set
	d.forking = func() bool { return a.decided.CompareAndSwap(false, true) }
	return a
}

// run is done by the thread.
func (a *attempt) run(start func(*description) (int, error)) {
	a.pid, a.err = start(a.d)
	close(a.done)
}

// outcome waits for it until ctx ends. slow, if not nil, is called if that takes longer than a
// start that waits for nobody.
func (a *attempt) outcome(ctx context.Context, slow func()) (int, error) {
	patience := time.NewTimer(threadPatience)
	defer patience.Stop()
	for {
		select {
		case <-a.done:
			return a.pid, a.err
		case <-patience.C:
			if slow != nil {
				slow()
			}
		case <-ctx.Done():
			if !a.decided.CompareAndSwap(false, true) {
				<-a.done // it is in the kernel's hands, which wait for nobody (description.far)
				return a.pid, a.err
			}
			return 0, a.at.stuck(&sys.StuckError{Cause: context.Cause(ctx), Returned: a.done})
		}
	}
}

// threadPatience is how long a thread may take for a start before other starts go another way.
const threadPatience = 250 * time.Millisecond
