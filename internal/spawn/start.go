package spawn

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Start starts the process that s describes as a child of this one and returns its
// pid as soon as it has executed its program. Reaping it is the caller's business. A failure is a
// *StepError; nothing is running then.
//
// Every descriptor of this process above 2 becomes close-on-exec, as those that Go opens
// are: one that was inherited without it would be passed on.
func Start(s *Spec) (pid int, err error) {
	if err := s.check(); err != nil {
		return 0, fail(StepStart, "", err)
	}
	if s.Birth != nil {
		return 0, fail(StepStart, "", errors.New("a birth needs a watcher"))
	}
	if s.DeathSignal != 0 {
		return 0, fail(StepDeathSignal, "", errNoThread)
	}
	d := s.describe()
	defer runtime.KeepAlive(s) // the files, whose numbers d has
	ctx, cancel := s.limit()
	defer cancel()
	if s.needsStage() {
		return startStage(ctx, &d)
	}
	return startFromThread(ctx, &d)
}

// limit is the context of Within.
func (s *Spec) limit() (context.Context, context.CancelFunc) {
	if s.Within <= 0 {
		return context.Background(), func() {}
	}
	return context.WithTimeoutCause(context.Background(), s.Within, lateError(s.Within))
}

// lateError is the cause of a context that Within has ended.
type lateError time.Duration

func (l lateError) Error() string { return fmt.Sprintf("after %v", time.Duration(l)) }

func (lateError) Unwrap() error { return context.DeadlineExceeded }

// errNoThread refuses a DeathSignal from a thread that ends before its process does.
var errNoThread = errors.New("needs a thread that is kept")

func closeAll(fds []int) {
	for _, fd := range fds {
		sys.CloseFD(fd) // nothing was written to it; a failure has no consequence
	}
}
