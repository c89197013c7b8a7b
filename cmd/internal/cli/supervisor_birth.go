package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Whoever needs the supervisor first starts it, and may be a job of a service, of cron, or of
// somebody who wanted it nice and small. The supervisor outlives that, and what it starts is none
// of that: so it has nothing of it.

// ofManager are the variables by which a supervisor of ours, or systemd, speaks to one process
// alone.
var ofManager = []string{
	invocation, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES",
	"FDSTORE", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID",
}

// invocation is in the environment of all that a service starts, and we would be taken for a part
// of it.
const invocation = "INVOCATION_ID"

// ofService are those that mean something of a manager's only within a service: anybody may have
// one of these names.
var ofService = []string{"MAINPID", spec.InstanceEnv}

// outsideOfServices is an environment without them.
func outsideOfServices(environ []string) []string {
	within := slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, invocation+"=") })
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ofManager, name) || within && slices.Contains(ofService, name)
	})
}

// usualLimits gives this process the soft limits of process 1, as far as its hard limits let it: a
// supervisor that it starts, and the services of that, do not have what somebody has set for one
// job ("ulimit -n 64"). Where process 1 cannot be seen they stay.
func usualLimits() error {
	usual, err := sys.LimitsOf(1)
	if err != nil {
		return nil
	}
	own, err := sys.LimitsOf(os.Getpid())
	if err != nil {
		return err
	}
	// systemd raises these two for itself, and gives its services the old ones (bump_rlimit_nofile
	// and bump_rlimit_memlock in src/core/main.c): more descriptors than 1024 break who uses
	// select(2).
	first, err := sys.ReadStat(1)
	raised := err == nil && first.Comm == "systemd"
	for name, limit := range own {
		number, ok := sys.RlimitNumber(name)
		of1, told := usual[name]
		// Also where the two are the same: the runtime has raised ours of open files for itself,
		// and lowers it again for children unless it is set (syscall.Setrlimit).
		if !ok || !told || name == "memlock" && raised {
			continue
		}
		limit.Soft = min(of1.Soft, limit.Hard)
		if name == "nofile" && raised {
			limit.Soft = min(limit.Soft, 1024)
		}
		if err := sys.Setrlimit(number, limit); err != nil {
			return fmt.Errorf("set the limit %s: %w", name, err)
		}
	}
	return nil
}

// shed rids a supervisor that a command has started of what it has of that command, and tells what
// it cannot.
func shed(trouble func(error)) {
	if err := cgroup.LeaveService(); err != nil {
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
