package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/daemonry/daemonry/control"
)

// serveMetrics writes the Prometheus text format, version 0.0.4. It is a
// dozen lines of text; the client library would cost every start of the program
// 0.7 ms of initialisation, also where nothing is ever measured. That the text
// is right is for that library's own parser to say, in the tests.
//
// The only label that grows is "service": seven series for each.
func (a *api) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	if !a.metrics {
		return failed(control.NotFound, "set metrics = true in [supervisor]",
			"metrics are not switched on")
	}
	list, err := a.engine.Status(r.Context())
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].PID != 0 {
			a.addUsage(&list[i])
		}
	}
	var b strings.Builder
	writeMetrics(&b, a.about, list)
	answer(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", []byte(b.String()))
	return nil
}

// metric is a family with a sample for each service that has one.
type metric struct {
	name, kind, help string
	value            func(control.Status) (v float64, ok bool)
}

// serviceMetrics are the families with the label "service".
func serviceMetrics() []metric {
	return []metric{
		{"daemonry_service_wanted", "gauge", "Whether the service is to be up.",
			func(s control.Status) (float64, bool) { return number(s.Wanted), true }},
		{"daemonry_service_ready", "gauge", "Whether the service is up.",
			func(s control.Status) (float64, bool) { return number(s.Ready), true }},
		{"daemonry_service_restarts_total", "counter", "Restarts that nobody asked for.",
			func(s control.Status) (float64, bool) { return float64(s.Restarts), true }},
		{"daemonry_service_state_since_seconds", "gauge", "When the service came into its state.",
			func(s control.Status) (float64, bool) { return unix(s.Since), true }},
		{"daemonry_service_start_time_seconds", "gauge", "When the running process was started.",
			func(s control.Status) (float64, bool) { return unix(s.Started), !s.Started.IsZero() }},
		{"daemonry_service_cpu_seconds_total", "counter",
			"Time that the main process has used since its start.",
			func(s control.Status) (float64, bool) {
				if s.CPU == nil {
					return 0, false
				}
				return time.Duration(*s.CPU).Seconds(), true
			}},
		{"daemonry_service_memory_bytes", "gauge",
			"What the main process has resident and shares with no file.",
			func(s control.Status) (float64, bool) {
				if s.Memory == nil {
					return 0, false
				}
				return float64(*s.Memory), true
			}},
	}
}

func writeMetrics(w io.Writer, about control.Supervisor, list []control.Status) {
	family := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	family("daemonry_build_info", "gauge", "The version of the supervisor; the value is always 1.")
	fmt.Fprintf(w, "daemonry_build_info{version=\"%s\"} 1\n", label(about.Version))
	family("daemonry_start_time_seconds", "gauge", "When the supervisor was started.")
	fmt.Fprintf(w, "daemonry_start_time_seconds %v\n", unix(about.Started))
	states := map[control.State]int{}
	for _, s := range list {
		states[s.State]++
	}
	family("daemonry_services", "gauge", "How many services are in each state.")
	for _, state := range control.States() {
		fmt.Fprintf(w, "daemonry_services{state=\"%s\"} %d\n", state, states[state])
	}
	for _, m := range serviceMetrics() {
		begun := false
		for _, s := range list {
			v, ok := m.value(s)
			if !ok {
				continue
			}
			if !begun {
				begun = true
				family(m.name, m.kind, m.help)
			}
			fmt.Fprintf(w, "%s{service=\"%s\"} %v\n", m.name, label(s.Name), v)
		}
	}
}

// label escapes the value of a label.
func label(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text)
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
