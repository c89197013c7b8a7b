package spawn

import (
	"context"
	"errors"
	"runtime"

	"github.com/daemonry/daemonry/internal/sys"
)

// Start starts the process that s describes as a child of this one and returns its pid as soon as
// it has executed its program. Reaping it is the caller's business. A failure is a *StepError;
// nothing is running then. When ctx ends, a start that has not executed the program yet is given
// up: one that hangs in a call of the kernel, or in the initialisation of a package. If something
// of it still waits in the kernel then, the error wraps a *sys.StuckError; it executes nothing any
// more.
//
// Every descriptor of this process above 2 becomes close-on-exec, as those that Go opens
// are: one that was inherited without it would be passed on.
func Start(ctx context.Context, s *Spec) (pid int, err error) {
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
	if s.needsStage() {
		return startStage(ctx, &d)
	}
	return startFromThread(ctx, &d)
}

// errNoThread refuses a DeathSignal from a thread that ends before its process does.
var errNoThread = errors.New("needs a thread that is kept")

// reborn is a stage that this process has started.
type reborn struct {
	pid     int
	channel sys.Channel
	words   words
}

func closeAll(fds []int) {
	for _, fd := range fds {
		sys.CloseFD(fd) // nothing was written to it; a failure has no consequence
	}
}
