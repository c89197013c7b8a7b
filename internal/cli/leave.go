package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// leaveTime is how long a supervisor may take to be gone that has nothing left to do.
const leaveTime = 15 * time.Second

var errNotGone = fmt.Errorf("not gone after %v: a thread of it waits in the kernel, for a file system that does not answer", leaveTime)

// awaitLeave waits until the process of a supervisor that has ended its services is gone.
func awaitLeave(ctx context.Context, process *sys.Process) error {
	limited, cancel := context.WithTimeoutCause(ctx, leaveTime, errNotGone)
	defer cancel()
	err := process.Wait(limited)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), errNotGone) {
		return failure(fmt.Errorf("the supervisor has ended its services, and process %d is %w", process.PID, errNotGone), exitFailed, nil)
	}
	if err != nil {
		return interrupted(ctx, err, "the supervisor to end")
	}
	return nil
}
