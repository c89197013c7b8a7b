package boottest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/systemd"
	"github.com/daemonry/daemonry/spec"
)

// TestUnits: systemd has nothing to say about the units, thinks well of their
// sandbox, and the services come up in it.
func TestUnits(t *testing.T) {
	m := newMachine(t, systemdSystem)
	schedule, err := spec.ParseSchedule("30 4 1,15 * 5")
	if err != nil {
		t.Fatal(err)
	}
	ready := spec.Probe{Kind: spec.ProbeNotify}
	tests := []struct {
		service spec.Service
		user    bool
		// exposure is the worst score, 0 to 10, that systemd-analyze security
		// may give.
		exposure float64
	}{
		{service: spec.Service{Name: "root", Ready: ready}, exposure: 4.1},
		{
			service: spec.Service{Name: "other", Ready: ready,
				Process: spec.Process{User: "www-data"}},
			exposure: 2.1,
		},
		{
			service: spec.Service{Name: "strict", Ready: ready,
				Sandbox: spec.Sandbox{Level: spec.SandboxStrict, ReadWrite: []string{probeOut}}},
			exposure: 1.2,
		},
		{service: spec.Service{
			Name: "strictother", Ready: ready, Process: spec.Process{User: "www-data:adm"},
			Sandbox: spec.Sandbox{Level: spec.SandboxStrict, ReadWrite: []string{probeOut}},
		}, exposure: 0.9},
		{
			service: spec.Service{Name: "open", Ready: ready,
				Sandbox: spec.Sandbox{Level: spec.SandboxOff}},
			exposure: 9.6,
		},
		{
			service: spec.Service{Name: "settle",
				Process: spec.Process{User: "daemon", Groups: []string{"adm"}}},
			exposure: 2.1,
		},
		{
			service: spec.Service{Name: "binds", Ready: ready,
				Process: spec.Process{User: "www-data", Cap: []string{"net_bind_service"}}},
			exposure: 2.2,
		},
		{service: spec.Service{Name: "timed", Type: spec.Oneshot, Schedule: schedule,
			Process: spec.Process{User: "www-data"}}, exposure: 2.1},
		{service: spec.Service{
			Name: "socket", Ready: ready, Watchdog: spec.Duration(time.Minute),
			Process: spec.Process{User: "www-data"},
			Sockets: []spec.Socket{
				{Listen: spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:8081"}},
				{Listen: spec.Address{Network: spec.NetUnix, Addr: "/run/socket.sock"}},
			},
		}, exposure: 2.1},
		{
			service: spec.Service{
				Name: "limited", Ready: ready,
				Limits:      spec.Limits{Memory: 256 << 20, Tasks: 50, CPUs: 1.5},
				Supervision: spec.Supervision{Reload: "HUP"},
			},
			exposure: 4.1,
		},
		{service: spec.Service{Name: "mine", Ready: ready}, user: true, exposure: 6.6},
		{service: spec.Service{Name: "minestrict", Ready: ready,
			Sandbox: spec.Sandbox{Level: spec.SandboxStrict}}, user: true, exposure: 6.4},
	}
	m.addUser("alice")
	var units []string
	for i := range tests {
		test := &tests[i]
		test.service.Command = spec.Command{m.addProbe(test.service.Name)}
		test.service.Timeout = new(spec.Duration(patience))
		out, err := systemd.Target().Render([]spec.Service{test.service},
			writers.Options{User: test.user})
		if err != nil {
			t.Fatal(err)
		}
		where := "/etc/systemd/system"
		if test.user {
			where = "/etc/systemd/user"
		}
		for _, f := range out.Files {
			m.write(filepath.Join(where, f.Path), string(f.Content), 0o644)
			if !test.user {
				units = append(units, filepath.Join(where, f.Path))
			}
		}
	}
	m.boot()
	if out := m.run(append([]string{"systemd-analyze", "verify", "--man=no"}, units...)...); out !=
		"" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	for _, test := range tests {
		ctl, path := m.as("", "systemctl"), "/etc/systemd/system/"
		if test.user {
			ctl, path = m.as("alice", "systemctl", "--user"), "/etc/systemd/user/"
			if out := m.run(m.as("alice", "systemd-analyze", "verify", "--user", "--man=no",
				path+test.service.Name+".service")...); out != "" {
				t.Errorf("systemd-analyze verify: %s:\n%s", test.service.Name, out)
			}
		}
		unit := test.service.Name + ".service"
		out, _ := m.try("systemd-analyze", "security", "--offline=true", "--no-pager", path+unit)
		line := last([]byte(out), 1)
		t.Log(strings.TrimPrefix(line, "→ "))
		if score, err := exposure(line); err != nil || score > test.exposure+0.001 {
			t.Errorf("%s: %q, want at most %.1f, %v", unit, line, test.exposure, err)
		}
		if test.service.Type == spec.Oneshot {
			continue // the program does not end by itself
		}
		if out, status := m.try(append(ctl, "start", unit)...); status != 0 {
			log, _ := m.try("journalctl", "--no-pager", "-n", "20")
			t.Errorf("%s does not start: %s%s", unit, out, log)
			continue
		}
		if b := m.born(test.service.Name); b.PID == 0 {
			t.Errorf("%s: %+v", unit, b)
		}
		if test.service.Reload != "" {
			m.run(append(ctl, "reload", unit)...)
		}
	}
}

// exposure reads "→ Overall exposure level for x.service: 4.1 OK 🙂".
func exposure(line string) (float64, error) {
	_, text, ok := strings.Cut(line, ".service: ")
	if !ok {
		return 0, fmt.Errorf("no score in %q", line)
	}
	score, _, _ := strings.Cut(text, " ")
	return strconv.ParseFloat(score, 64)
}
