package boottest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// file is where the services of a test are described.
const file = "/srv/shop/daemonry.toml"

var systems = []*system{systemdSystem, sysvSystem, openrcSystem, runitSystem}

// crash ends the process of a service as its own fault would.
func (m *machine) crash(b birth) {
	m.t.Helper()
	m.run("sh", "-c", fmt.Sprintf("kill -SEGV %d", b.PID))
}

// still fails if a service has been born since it was asked for last.
func (m *machine) still(name string) {
	m.t.Helper()
	if m.isBorn(name) {
		m.t.Errorf("boot %d: %s was started", m.boots, name)
	}
}

// TestNative: a service that was handed to the init system is there after a
// reboot, with every byte of its description; it comes back from a crash; and
// when it was disabled, it is gone.
func TestNative(t *testing.T) {
	for _, system := range systems {
		t.Run(system.name, func(t *testing.T) {
			m := newMachine(t, system)
			s, program := nastyService(m, "nasty")
			m.write(file, toml(t, s), 0o644)
			m.boot()
			m.run("daemonry", "enable", "--native", "-f", file)
			arrived(t, m.born(program), s)
			m.run("daemonry", "enable", "--native", "-f", file)

			m.reboot()
			b := m.born(program)
			arrived(t, b, s)
			if system != sysvSystem { // which restarts nothing, and says so
				m.crash(b)
				if again := m.born(program); again.PID == b.PID {
					t.Errorf("it is the same process: %d", b.PID)
				}
			}
			m.run("daemonry", "disable", "-f", file)
			m.gone("nasty")

			m.reboot()
			m.gone("nasty")
			m.still(program)
		})
	}
}

// gone says what is left of a service.
func (m *machine) gone(name string) {
	m.t.Helper()
	if left := m.left(name); left != "" {
		m.t.Errorf("boot %d: left of %s:\n%s", m.boots, name, left)
	}
	out, _ := m.try("sh", "-c", `ls -l /proc/[0-9]*/exe 2>/dev/null | grep `+probeDir)
	if out != "" {
		m.t.Errorf("boot %d: still running:\n%s", m.boots, out)
	}
}

// TestReady: systemd takes a service for up when it has said READY=1, not
// before.
func TestReady(t *testing.T) {
	m := newMachine(t, systemdSystem)
	s := spec.Service{
		Name:    "slow",
		Command: spec.Command{m.addProbe("slow")},
		Ready:   spec.Probe{Kind: spec.ProbeNotify},
	}
	m.write(file, toml(t, s), 0o644)
	m.boot()
	m.run("daemonry", "enable", "--native", "-f", file)
	m.reboot()
	m.born("slow")
	state := func() string {
		return strings.TrimSpace(m.run("systemctl", "show", "--property=ActiveState,SubState",
			"--value", "slow.service"))
	}
	if got := state(); got != "active\nrunning" {
		t.Errorf("after a boot: %q", got)
	}
	hold := probeFile("slow") + ".hold"
	m.write(hold, "", 0o644)
	m.run("systemctl", "restart", "--no-block", "slow.service")
	m.wait("systemd to wait for READY=1", func() bool { return state() == "activating\nstart" })
	m.still("slow")
	m.run("rm", hold)
	m.born("slow")
	m.wait("systemd to see READY=1", func() bool { return state() == "active\nrunning" })
}

// five are the services of TestSupervisor.
var five = []string{"a", "b", "c", "d", "e"}

// TestSupervisor: after a reboot the supervisor has its services as they were
// wanted, the one stopped by hand included.
func TestSupervisor(t *testing.T) {
	for _, system := range systems {
		t.Run(system.name, func(t *testing.T) { supervisor(newMachine(t, system), "") })
	}
}

// TestUserSupervisor is the same for an ordinary user who lingers.
func TestUserSupervisor(t *testing.T) {
	m := newMachine(t, systemdSystem)
	m.addUser("alice")
	supervisor(m, "alice")
}

func supervisor(m *machine, user string) {
	t := m.t
	daemonry := func(words ...string) []string {
		return m.as(user, append([]string{"daemonry"}, words...)...)
	}
	up := func(name string) bool {
		_, status := m.try(daemonry("status", name)...)
		return status == 0
	}
	var services []spec.Service
	for _, name := range five {
		services = append(services, spec.Service{
			Name:    name,
			Command: spec.Command{m.addProbe(name)},
			Ready:   spec.Probe{Kind: spec.ProbeNotify},
		})
	}
	m.write(file, toml(t, services...), 0o644)
	m.boot()
	m.run(daemonry("enable", "-f", file)...)
	for _, name := range five {
		m.born(name)
		if !up(name) {
			t.Errorf("%s is not up", name)
		}
	}
	m.run(daemonry("stop", "c")...)

	m.reboot()
	for _, name := range []string{"a", "b", "d", "e"} {
		m.wait(name+" to be up after a reboot", func() bool { return up(name) })
		m.born(name)
	}
	if out, status := m.try(daemonry("status", "c")...); status != 3 {
		t.Errorf("status of what was stopped by hand: %d\n%s", status, out)
	}
	m.still("c")
	m.run(daemonry("start", "c")...)
	b := m.born("c")
	m.crash(b)
	if again := m.born("c"); again.PID == b.PID {
		t.Errorf("it is the same process: %d", b.PID)
	}
	m.wait("c to be up after a crash", func() bool { return up("c") })

	m.run(daemonry("disable")...)
	m.run(daemonry("disable")...)
	m.gone("daemonry.service")
	m.reboot()
	if out, status := m.try(daemonry("supervisor", "status")...); status != 3 {
		t.Errorf("after disable the supervisor's status is %d\n%s", status, out)
	}
	for _, name := range five {
		m.still(name)
	}
}

// TestUserNative: a service in the hands of a user's own manager.
func TestUserNative(t *testing.T) {
	m := newMachine(t, systemdSystem)
	m.addUser("alice")
	s, program := nastyService(m, "nasty")
	s.Ready = spec.Probe{Kind: spec.ProbeNotify}
	m.write(file, toml(t, s), 0o644)
	m.boot()
	m.run(m.as("alice", "daemonry", "enable", "--native", "-f", file)...)
	m.born(program)

	m.reboot()
	b := m.born(program)
	arrived(t, b, s)
	if b.UID == 0 {
		t.Error("it runs as root")
	}
	m.crash(b)
	m.born(program)
	m.run(m.as("alice", "daemonry", "disable", "nasty")...)
	m.gone("nasty")
	m.reboot()
	m.gone("nasty")
	m.still(program)
}
