package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

func TestReservedName(t *testing.T) {
	m, _ := fakeMachine(t)
	if _, err := m.Enable(t.Context(),
		[]spec.Service{{Name: "daemonry", Command: spec.Command{"/bin/x"}}}); err == nil {
		t.Error("a service took the name of the supervisor's own")
	}
}

// TestUser: a user's manager has other commands, and tells about lingering.
func TestUser(t *testing.T) {
	m, f := fakeMachine(t)
	m.User, m.UID, f.user = true, 1000, true
	p, err := m.EnableSupervisor(t.Context(),
		Supervisor{Program: "/usr/bin/daemonry", Env: map[string]string{"XDG_STATE_HOME": "/s p"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !f.enabled["daemonry.service"] || f.active["daemonry.service"] != "active" {
		t.Error(f.state(t, m.Dir))
	}
	content := f.known["daemonry.service"]
	if !strings.Contains(content, "WantedBy=default.target") ||
		!strings.Contains(content, `Environment="XDG_STATE_HOME=/s p"`) {
		t.Error(content)
	}
	if len(p.Hints) == 0 || !strings.Contains(p.Hints[0], "loginctl enable-linger") {
		t.Errorf("hints %q", p.Hints)
	}
}

// TestSupervisorUnit: systemd has nothing to say about the unit.
func TestSupervisorUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	for _, user := range []bool{false, true} {
		target, err := Systemd.target()
		if err != nil {
			t.Fatal(err)
		}
		s := Supervisor{Program: "/bin/sh", Env: map[string]string{"DAEMONRY_ROOT": "/srv/a b%c"}}
		out, err := s.render(target, writers.Options{User: user})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), out.Files[0].Path)
		if err := os.WriteFile(path, out.Files[0].Content, 0o644); err != nil {
			t.Fatal(err)
		}
		argv := []string{"verify", "--man=no", path}
		if user {
			argv = append([]string{"--user"}, argv...)
		}
		verify := exec.Command(analyze, argv...)
		verify.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
		words, err := verify.CombinedOutput()
		if err != nil || len(words) > 0 {
			t.Errorf("user %v: %v\n%s\n%s", user, err, words, out.Files[0].Content)
		}
		for _, line := range []string{
			"Type=notify", "KillMode=process", "Delegate=yes", "OOMPolicy=continue",
			"Restart=on-failure",
		} {
			if !slices.Contains(strings.Split(string(out.Files[0].Content), "\n"), line) {
				t.Errorf("user %v: no %s", user, line)
			}
		}
	}
}

func TestSupervisorOf(t *testing.T) {
	env := map[string]string{"XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "c"}
	getenv := func(name string) string { return env[name] }
	if s, err := SupervisorOf(getenv, 0); err != nil || len(s.Env) != 0 || s.Name() != "daemonry" {
		t.Errorf("root: %+v, %v", s, err)
	}
	if s, err := SupervisorOf(getenv, 7); err != nil ||
		fmt.Sprint(s.Env) != "map[XDG_STATE_HOME:/s]" {
		t.Errorf("user: %+v, %v", s, err)
	}
	env["DAEMONRY_ROOT"] = "/r"
	s, err := SupervisorOf(getenv, 7)
	if err != nil || fmt.Sprint(s.Env) != "map[DAEMONRY_ROOT:/r]" || s.Name() == "daemonry" ||
		spec.CheckName(s.Name()) != nil {
		t.Errorf("another root: %+v %q, %v", s, s.Name(), err)
	}
}
