// Package systemd writes systemd units: a service unit for each service, with socket and timer
// units where it has sockets or a schedule.
//
// The units are for systemd 252 and later; keys of later versions are written
// when the version is given, for an older systemd passes them over with a
// warning that nobody reads. The references are systemd.unit(5),
// systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.socket(5),
// systemd.timer(5) and systemd.resource-control(5).
package systemd

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Versions from which on keys exist.
const (
	notifyReload   = 253 // Type=notify-reload
	graduatedDelay = 254 // RestartSteps=, RestartMaxDelaySec=
)

// systemDir is where the units of the machine are, and the files that they name.
const systemDir = "/etc/systemd/system"

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "systemd",
		About:   "units for systemd 252 and later, of the system or of a user",
		Dir:     systemDir,
		UserDir: ".config/systemd/user",
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"labels": "left out: units have no labels",
	"liveness": "left out: systemd asks nobody; a service that sends WATCHDOG=1 can " +
		"have a watchdog",
	"backoff": "systemd before 254 waits the same time before every restart: that " +
		"of backoff.first",
	"backoff.jitter": "left out: the delays of systemd are not random",
	"budget.retry":   "left out: failed stays failed",
	"idle_stop": "left out: a service must end by itself when it is idle; the socket " +
		"starts it again",
	"orphan":                "left out: there is no supervisor that could be gone",
	"pidfile":               "left out: systemd knows the process without one",
	"lockfile":              "left out: systemd starts a unit only once",
	"limits.memory_restart": "left out: limits.memory ends the service, memory_high slows it down",
	"log": "left out: the journal keeps, rotates and stamps the log by " +
		"journald.conf(5)",
	"on_demand": "left out",
}

// writer renders one service.
type writer struct {
	*writers.Account
	opts writers.Options
	unit
}

func render(a *writers.Account, opts writers.Options) ([]writers.File, error) {
	w := &writer{Account: a, opts: opts}
	sockets, names, err := socketUnits(a)
	if err != nil {
		return nil, err
	}
	w.section("Unit")
	w.unitSection(names)
	w.section("Service")
	w.start()
	if len(names) > 0 {
		w.words("Sockets", names...)
	}
	w.restarts()
	w.stop()
	w.identity()
	secrets := w.environment()
	w.streams()
	w.limits()
	w.sandbox()
	w.install()
	content, err := w.bytes()
	if err != nil {
		return nil, err
	}
	files := append(sockets, writers.File{Path: a.Name + ".service", Mode: 0o644, Content: content})
	files = append(files, secrets...)
	if a.Schedule != (spec.Schedule{}) {
		files = append(files, timerUnit(a))
	}
	return files, nil
}

func (w *writer) unitSection(sockets []string) {
	w.raw("Description", cmp.Or(w.Description, w.Name))
	w.Use("description", "after", "requires", "wants", "budget.restarts", "budget.window")
	var after, requires, wants []string
	for _, list := range []struct {
		names []string
		units *[]string
	}{{w.After, nil}, {w.Requires, &requires}, {w.Wants, &wants}} {
		for _, name := range list.names {
			after = appendNew(after, name+".service")
			if list.units != nil {
				*list.units = append(*list.units, name+".service")
			}
		}
	}
	if !w.opts.User {
		after = append([]string{"network.target"}, after...)
	}
	requires = append(requires, sockets...)
	for _, list := range []struct {
		key   string
		units []string
	}{{"After", append(after, sockets...)}, {"Requires", requires}, {"Wants", wants}} {
		if len(list.units) > 0 {
			w.words(list.key, list.units...)
		}
	}
	// systemd counts every start, the first one and those by hand included.
	if n := *w.Budget.Restarts; n < 0 {
		w.set("StartLimitIntervalSec", 0)
	} else {
		w.set("StartLimitIntervalSec", timespan(*w.Budget.Window))
		w.set("StartLimitBurst", n+1)
	}
}

func appendNew(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// install says who starts the service. One with a schedule is started by its
// timer, one on demand by its socket.
func (w *writer) install() {
	w.Use("autostart", "schedule")
	if w.OnDemand && len(w.Sockets) > 0 {
		w.Use("on_demand")
		return
	}
	if !*w.Autostart || w.Schedule != (spec.Schedule{}) {
		return
	}
	w.section("Install")
	w.set("WantedBy", bootTarget(w.opts))
}

func bootTarget(opts writers.Options) string {
	if opts.User {
		return "default.target"
	}
	return "multi-user.target"
}

// timerUnit starts the service by its schedule. Like cron, it does not make up
// for what passed while the machine was off.
func timerUnit(a *writers.Account) writers.File {
	var u unit
	u.section("Unit")
	u.set("Description", fmt.Sprintf("Schedule of %s", a.Name))
	u.section("Timer")
	for _, event := range calendar(a.Schedule) {
		u.set("OnCalendar", event)
	}
	u.set("AccuracySec", "1s")
	u.set("Unit", a.Name+".service")
	if *a.Autostart {
		u.section("Install")
		u.set("WantedBy", "timers.target")
	}
	return writers.File{Path: a.Name + ".timer", Mode: 0o644, Content: u.text.Bytes()}
}
