package systemd

import (
	"fmt"
	"math"
	"slices"

	"github.com/daemonry/daemonry/spec"
)

// What systemd does where a unit says nothing (systemd.unit(5),
// systemd.service(5), systemd-system.conf(5)).
const (
	defaultTimeout       = 90 * second
	defaultRestartSec    = second / 10
	defaultStartInterval = 10 * second
	defaultStartBurst    = 5

	second = spec.Duration(1e9)
)

// finishType settles when the service is up, and how long that may take.
func (r *reader) finishType() {
	s, at := &r.service, r.last["Service.Type"]
	switch r.unitType {
	case "simple", "idle":
		// systemd takes these for up at once; to settle is the better answer.
	case "exec":
		s.Ready = spec.Probe{Kind: spec.ProbeExec}
	case "notify", "notify-reload":
		s.Ready = spec.Probe{Kind: spec.ProbeNotify}
		if r.unitType == "notify-reload" && s.Reload == "" && s.ReloadCommand == nil {
			s.Reload = "HUP"
		}
	case "oneshot":
		s.Type = spec.Oneshot
		if s.Timeout == nil {
			s.Timeout = new(spec.Forever)
		}
	case "forking":
		r.note(at, "forking: give the program the option that keeps it in the foreground")
	case "dbus":
		r.note(at, "dbus: waiting for a bus name cannot be expressed")
	default:
		r.bad(at, fmt.Errorf("%q is not known", r.unitType))
	}
	if s.Timeout == nil {
		s.Timeout = new(defaultTimeout)
	}
	if s.Remain && s.Type != spec.Oneshot {
		r.note(r.last["Service.RemainAfterExit"], "only a oneshot remains here")
		s.Remain = false
	}
}

// finishRestart turns the constant delay and the limit of starts into backoff
// and budget. A limit that the delay keeps from being reached is none.
func (r *reader) finishRestart() {
	s := &r.service
	delay, interval, burst := defaultRestartSec, defaultStartInterval, defaultStartBurst
	if r.restartSec.set() {
		delay = r.restartSec.Duration
	}
	if r.startInterval.set() {
		interval = r.startInterval.Duration
	}
	if r.startBurst >= 0 {
		burst = r.startBurst
	}
	if s.Restart == spec.RestartNo {
		return
	}
	limit := delay
	factor := 1.0
	if r.restartSteps > 0 && r.restartMax.Duration > delay && delay > 0 &&
		r.restartMax.Duration != spec.Forever {
		limit = r.restartMax.Duration
		factor = math.Pow(float64(limit)/float64(delay), 1/float64(r.restartSteps))
	}
	s.Backoff = spec.Backoff{First: &delay, Factor: &factor, Cap: &limit, Jitter: new(0.0)}
	s.Budget = spec.Budget{Restarts: &burst, Window: &interval}
	if interval == 0 || burst == 0 || !reachable(s.Backoff, burst, interval) {
		s.Budget = spec.Budget{Restarts: new(-1)}
	}
}

// maxBurst is more starts than any limit means.
const maxBurst = 100_000

// reachable tells whether so many restarts fit into the interval at all.
func reachable(b spec.Backoff, burst int, interval spec.Duration) bool {
	sum := 0.0
	for n := 1; n <= min(burst, maxBurst); n++ {
		sum += float64(b.Delay(n, 0))
	}
	return burst <= maxBurst && sum <= float64(interval)
}

// finishCapabilities joins the two sets, of which we have one.
func (r *reader) finishCapabilities() {
	s := &r.service
	switch {
	case r.bounding == nil:
		if len(r.ambient) > 0 {
			s.Cap = r.ambient
		}
	case slices.Equal(slices.Sorted(slices.Values(r.ambient)),
		slices.Sorted(slices.Values(r.bounding))):
		s.Cap = r.bounding
	default:
		if len(r.ambient) > 0 || s.User == "" {
			s.Cap = r.bounding
		}
		r.note(r.last["Service.CapabilityBoundingSet"],
			"is not the same as AmbientCapabilities=; here one set is both")
	}
}
