package server

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
)

func TestMetrics(t *testing.T) {
	f := serveFake(t, nil)
	f.api.metrics, f.api.about.Version = true, "1.0 \"x\"\\\n"
	f.engine.statuses = []control.Status{
		{Name: "web@1", State: control.Ready, Ready: true, Wanted: true, PID: 3, Restarts: 4,
			Started: time.Unix(10, 0), Since: time.Unix(11, 500e6)},
		{Name: "db", State: supervise.Failed, Wanted: true, Since: time.Unix(12, 0)},
	}
	status, body, header := f.ask(t, "GET", "/metrics", "")
	if status != 200 ||
		!strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatal(status, header)
	}
	// The reference parser must take it, and the reference linter like it.
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v\n%s", err, problems, body)
	}
	for _, want := range []string{
		`daemonry_build_info{version="1.0 \"x\"\\\n"} 1`,
		`daemonry_services{state="failed"} 1`,
		`daemonry_services{state="stopped"} 0`,
		`daemonry_service_ready{service="web@1"} 1`,
		`daemonry_service_ready{service="db"} 0`,
		`daemonry_service_restarts_total{service="web@1"} 4`,
		`daemonry_service_state_since_seconds{service="web@1"} 11.5`,
		`daemonry_service_start_time_seconds{service="web@1"} 10`,
		`daemonry_service_cpu_seconds_total{service="web@1"} 1.5`,
		`daemonry_service_memory_bytes{service="web@1"} 3.145728e+06`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, `memory_bytes{service="db"}`) {
		t.Error("memory of a service that does not run")
	}
}
