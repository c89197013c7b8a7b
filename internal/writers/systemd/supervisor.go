package systemd

import (
	"maps"
	"slices"
	"time"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Supervisor is our own supervisor as a unit.
type Supervisor struct {
	Program  string // absolute
	Env      map[string]string
	StopTime time.Duration // what it has to end its services
}

// SupervisorUnit writes the unit of the supervisor. It is unlike that of a
// service: what it starts lives in its control group and has whatever the unit
// gives.
func SupervisorUnit(s Supervisor, opts writers.Options) ([]byte, error) {
	var u unit
	u.section("Unit")
	u.set("Description", "Daemonry, the supervisor of services")
	if !opts.User {
		// Its services may be anything that a machine runs.
		u.words("After", "network-online.target", "remote-fs.target", "nss-user-lookup.target")
		u.words("Wants", "network-online.target")
	}
	u.comment("Without it nobody would look after the services: it is started again however often.")
	u.set("StartLimitIntervalSec", 0)
	u.section("Service")
	u.set("Type", "notify")
	u.set("ExecStart", lineOf("", s.Program, "supervisor", "run"))
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		u.words("Environment", name+"="+s.Env[name])
	}
	u.set("Restart", "on-failure")
	u.set("RestartSec", "1s")
	u.comment("Services outlive a supervisor that crashes: the next one takes them over. A stop is")
	u.comment("asked of it alone, and it ends them in order, each in its own time.")
	u.set("KillMode", "process")
	u.set("TimeoutStopSec", timespan(spec.Duration(s.StopTime)))
	u.comment("The control groups below are its own, and a service that runs out of memory is " +
		"not its end.")
	u.set("Delegate", "yes")
	u.set("OOMPolicy", "continue")
	u.set("TasksMax", "infinity")
	u.comment("No sandbox here: every service would be in it, for good. Each has its own.")
	u.section("Install")
	u.set("WantedBy", bootTarget(opts))
	return u.bytes()
}
