package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// leaveTime is how long a supervisor may take to be gone that has nothing left to do.
const leaveTime = 15 * time.Second

// awaitLeave waits until the process of a supervisor that has ended its services is gone, so long.
func awaitLeave(ctx context.Context, process *sys.Process, limit time.Duration) error {
	notGone := fmt.Errorf("the supervisor has ended its services, and process %d is not gone after %v: "+
		"a thread of it waits in the kernel, for a file system that does not answer", process.PID, limit)
	limited, cancel := context.WithTimeoutCause(ctx, limit, notGone)
	defer cancel()
	err := process.Wait(limited)
	if err != nil && ctx.Err() == nil && context.Cause(limited) == notGone {
		return failure(notGone, exitFailed, nil)
	}
	if err != nil {
		return interrupted(ctx, err, "the supervisor to end")
	}
	return nil
}
