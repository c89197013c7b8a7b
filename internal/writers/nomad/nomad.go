// Package nomad writes Nomad jobs that use the exec driver.
//
// The reference is the job specification of Nomad 1.6 and later, in HCL2.
package nomad

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "nomad",
		About:   "jobs for Nomad, with the exec driver",
		Dir:     ".",
		Scales:  true,
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"description": "left out",
	"after": "Nomad orders nothing between jobs: a task must wait for what it needs, or " +
		"end and be restarted",
	"requires": "Nomad orders nothing between jobs: a task must wait for what it needs, or end " +
		"and be restarted",
	"wants": "Nomad orders nothing between jobs: a task must wait for what it needs, or end " +
		"and be restarted",
	"env_file":  "left out: make a template of it",
	"clear_env": "the exec driver gives the environment of Nomad's own client",
	"pass_env":  "left out: the exec driver gives the environment of Nomad's own client",
	"log":       "left out: Nomad keeps and rotates the output by its own logs stanza",
	"stdin":     "left out: a task has none",
	"stdout":    "left out: the output goes to Nomad's log of the task",
	"stderr":    "left out: the output goes to Nomad's log of the task",
	"chroot":    "left out: the exec driver makes a root of its own",
	"chdir":     "left out: a task starts in its own directory",
	"sockets":   "left out: nobody hands sockets over; the program must listen",
	"reload":    "left out: nomad alloc signal sends any signal by hand",
	"stop_to":   "left out",
	"success":   "left out: 0 alone is success for Nomad",
	"orphan":    "left out",
	"sandbox":   "left out: the exec driver isolates by its own settings",
}

// body is a block that is being written.
type body struct {
	b      strings.Builder
	indent string
	errs   []error
}

func (h *body) line(format string, args ...any) {
	h.b.WriteString(h.indent)
	fmt.Fprintf(&h.b, format, args...)
	h.b.WriteByte('\n')
}

func (h *body) open(format string, args ...any) {
	h.line(format+" {", args...)
	h.indent += "  "
}

func (h *body) close() {
	h.indent = strings.TrimSuffix(h.indent, "  ")
	h.line("}")
}

// text returns a quoted text.
func (h *body) text(s string) string {
	quoted, err := quote(s)
	if err != nil {
		h.errs = append(h.errs, err)
	}
	return quoted
}

func (h *body) texts(words []string) string {
	return "[" + strings.Join(writers.Each(words, h.text), ", ") + "]"
}

func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	h := &body{}
	a.Use("type", "schedule", "instances", "autostart", "labels")
	h.open("job %s", h.text(a.Name))
	h.line("type = %s",
		h.text(map[spec.Type]string{spec.Daemon: "service", spec.Oneshot: "batch"}[a.Type]))
	if a.Schedule != (spec.Schedule{}) {
		if a.Type == spec.Daemon {
			a.Note("schedule", "left out: in Nomad a oneshot alone can have one")
		} else {
			h.open("periodic")
			h.line("crons            = [%s]", h.text(a.Schedule.String()))
			h.line("prohibit_overlap = true")
			h.close()
		}
	}
	if len(a.Labels) > 0 {
		h.mapping("meta", a.Labels)
	}
	h.open("group %s", h.text(a.Name))
	count := max(1, a.Instances)
	if !*a.Autostart {
		count = 0
	}
	h.line("count = %d", count)
	a.NoteIf(a.Instances > 0,
		"instances", "{instance} stays as it is: NOMAD_ALLOC_INDEX is the number, from 0")
	restart(a, h)
	if a.Type == spec.Daemon {
		update(a, h)
	}
	checks(a, h)
	task(a, h)
	h.close()
	h.close()
	if len(h.errs) > 0 {
		return nil, h.errs[0]
	}
	return []writers.File{
		{Path: a.Name + ".nomad.hcl", Mode: 0o600, Content: []byte(h.b.String())},
	}, nil
}

// mapping writes texts by name. It is an attribute, not a block, for a block
// has identifiers alone.
func (h *body) mapping(name string, texts map[string]string) {
	h.open("%s =", name)
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		h.line("%s = %s", h.text(key), h.text(texts[key]))
	}
	h.close()
}

// restart says how often a task is started again where it is; Nomad does so
// after success too, for a service.
func restart(a *writers.Account, h *body) {
	a.Use("restart", "backoff.first", "budget.restarts", "budget.window")
	attempts := *a.Budget.Restarts
	mode := "fail"
	switch {
	case a.Restart == spec.RestartNo:
		attempts = 0
	case attempts < 0:
		attempts, mode = 10_000, "delay"
	}
	a.NoteIf(a.Restart == spec.RestartNo && a.Type == spec.Daemon,
		"restart", "no: Nomad still places the task anew when it has failed")
	a.NoteIf(a.Restart == spec.RestartOnFailure && a.Type == spec.Daemon,
		"restart", "not on-failure: Nomad restarts a service after success too")
	h.open("restart")
	h.line("attempts = %d", attempts)
	h.line("interval = %s", h.text(span(*a.Budget.Window)))
	// Nomad adds up to a quarter by chance.
	h.line("delay    = %s", h.text(span(*a.Backoff.First)))
	h.line("mode     = %s", h.text(mode))
	h.close()
}

func update(a *writers.Account, h *body) {
	a.Use("timeout")
	h.open("update")
	healthy := min(*a.Timeout, spec.Duration(24*time.Hour))
	a.NoteIf(healthy != *a.Timeout, "timeout", "is 24h: Nomad waits no longer")
	settle, waits := a.Alive()
	if waits {
		a.Use("ready")
	}
	h.line("max_parallel      = 1")
	h.line("min_healthy_time  = %s", h.text(span(settle)))
	h.line("healthy_deadline  = %s", h.text(span(healthy)))
	h.line("progress_deadline = %s", h.text(span(healthy+spec.Duration(time.Minute))))
	h.close()
}

// checks become those of a service; Nomad asks them from the start on, so they
// serve for readiness and for liveness.
func checks(a *writers.Account, h *body) {
	ready, live := address(a.Ready), address(a.Liveness.Check)
	if _, waits := a.Alive(); a.Says("ready") && ready == nil && !waits {
		a.Note("ready", "Nomad's own services have no probe %q: the task is up as soon as it runs",
			a.Ready.Kind)
	}
	if a.Liveness.Check.Kind != "" && live == nil {
		a.Note("liveness.check", "Nomad's own services have no probe %q", a.Liveness.Check.Kind)
	}
	if ready == nil && live == nil {
		return
	}
	static := ready
	if static == nil {
		static = live
	}
	h.open("network")
	h.open("port %s", h.text("main"))
	h.line("static = %s", static.port)
	h.close()
	h.close()
	h.open("service")
	h.line("name     = %s", h.text(a.Name))
	h.line("provider = %s", h.text("nomad"))
	h.line("port     = %s", h.text("main"))
	if ready != nil {
		a.Note("ready", "is asked at the address of the node: the program must listen there")
		check(h, ready, 10, 5)
		h.close()
	}
	if live != nil && ready != nil && live.port != ready.port {
		a.Note("liveness.check", "left out: its port is not that of ready")
	} else if live != nil {
		a.Use("liveness.interval", "liveness.timeout", "liveness.threshold", "liveness.grace")
		a.Note("liveness.check",
			"is asked at the address of the node: the program must listen there")
		check(h, live, writers.Seconds(*a.Liveness.Interval), writers.Seconds(*a.Liveness.Timeout))
		h.open("check_restart")
		h.line("limit = %d", *a.Liveness.Threshold)
		h.line("grace = %s", h.text(span(a.Liveness.Grace)))
		h.close()
		h.close()
	}
	h.close()
}

// check opens the block of a check; the caller closes it.
func check(h *body, w *where, interval, timeout int) {
	h.open("check")
	h.line("type     = %s", h.text(w.kind))
	if w.kind == "http" {
		h.line("path     = %s", h.text(w.path))
		h.line("protocol = %s", h.text(w.scheme))
	}
	h.line("interval = %s", h.text(fmt.Sprintf("%ds", max(1, interval))))
	h.line("timeout  = %s", h.text(fmt.Sprintf("%ds", max(1, timeout))))
}

type where struct{ kind, port, path, scheme string }

// address returns what a check needs to know, nil for probes that are not of
// the network.
func address(p spec.Probe) *where {
	switch p.Kind {
	case spec.ProbeTCP:
		if _, port, err := net.SplitHostPort(p.Target); err == nil &&
			strings.Trim(port, "0123456789") == "" {
			return &where{kind: "tcp", port: port}
		}
	case spec.ProbeHTTP:
		u, err := url.Parse(p.Target)
		if err != nil {
			return nil
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return &where{"http", port, u.RequestURI(), u.Scheme}
	}
	return nil
}

func span(d spec.Duration) string {
	if d == spec.Forever {
		d = spec.Duration(365 * 24 * time.Hour)
	}
	return time.Duration(d).String()
}
