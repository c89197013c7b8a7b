package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/supervise"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Whoever needs the supervisor first starts it, and may be a job of a service, of cron, or of somebody who wanted it nice and
// small. The supervisor outlives that, and what it starts is none of that: so it has nothing of it.

// ofManager are the variables by which a supervisor of ours, or systemd, speaks to one process alone.
var ofManager = []string{
	invocation, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES",
	"FDSTORE", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID",
}

// invocation is in the environment of all that a service starts, and we would be taken for a part of it.
const invocation = "INVOCATION_ID"

// ofService are those that mean something of a manager's only within a service: anybody may have one of these names.
var ofService = []string{"MAINPID", spec.InstanceEnv}

// outsideOfServices is an environment without them.
func outsideOfServices(environ []string) []string {
	within := slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, invocation+"=") })
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ofManager, name) || within && slices.Contains(ofService, name)
	})
}

// shed rids a supervisor that a command has started of what it has of that command, and tells what it cannot.
func shed(trouble func(error)) {
	if err := supervise.LeaveService(); err != nil {
		trouble(err)
	}
	if n, err := sys.Nice(); err == nil && n > 0 {
		if err := sys.SetNiceOfAll(0); err != nil {
			trouble(fmt.Errorf("started with niceness %d, which services have too: %w", n, err))
		}
	}
	if n, err := sys.OOMScoreAdj(); err == nil && n != 0 {
		if err := sys.SetOOMScoreAdj(0); err != nil {
			trouble(fmt.Errorf("started with an oom score of %d, which services have too: %w", n, err))
		}
	}
}
