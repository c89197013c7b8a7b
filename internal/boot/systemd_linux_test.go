package boot

import (
	"context"
	"errors"
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

// fakeMachine boots with a fake systemd.
func fakeMachine(t *testing.T) (*Machine, *fakeSystemd) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "units")
	f := newFakeSystemd(dir)
	return &Machine{System: Systemd, Dir: dir, Run: f.run}, f
}

func mustEnable(t *testing.T, m *Machine, services []spec.Service) *Plan {
	t.Helper()
	p, err := m.Enable(t.Context(), services)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEnable(t *testing.T) {
	m, f := fakeMachine(t)
	before := f.state(t, filepath.Dir(m.Dir))
	p, err := m.Enable(t.Context(), services())
	if err != nil {
		t.Fatal(err)
	}
	if got := f.state(t, filepath.Dir(m.Dir)); got != before {
		t.Errorf("planning did something: %s", got)
	}
	if err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"db.service", "web@1.service", "web@2.service", "web.socket", "backup.timer"}
	for _, unit := range want {
		if !f.enabled[unit] || f.active[unit] != "active" {
			t.Errorf("%s: enabled %v, %q", unit, f.enabled[unit], f.active[unit])
		}
	}
	for _, unit := range []string{"by-hand.service", "backup.service"} {
		if _, known := f.known[unit]; !known || f.enabled[unit] || f.active[unit] != "" {
			t.Errorf("%s: known %v, enabled %v, %q", unit, known, f.enabled[unit], f.active[unit])
		}
	}
	st, err := m.Status(t.Context(), "db")
	if err != nil || !st.Enabled || !st.Running || st.PID != 77 || st.State != "active" ||
		len(st.Files) != 2 {
		t.Errorf("status %+v, %v", st, err)
	}
	if st, err := m.Status(t.Context(), "web"); err != nil || !st.Running || st.PID != 0 ||
		len(st.Files) != 5 {
		t.Errorf("status of instances %+v, %v", st, err)
	}
	if st, err := m.Status(t.Context(), "other"); err != nil || st.Enabled || st.Running ||
		len(st.Files) > 0 {
		t.Errorf("status of what is not there %+v, %v", st, err)
	}

	if p, err := m.Disable(t.Context(), "web@1"); err == nil ||
		!strings.Contains(err.Error(), "name web") {
		t.Errorf("disable one instance: %v, %v", p, err)
	}
	if p, err := m.Disable(t.Context(), "db@1"); err == nil ||
		!strings.Contains(err.Error(), "name db") {
		t.Errorf("disable an instance that there is not: %v, %v", p, err)
	}
	if p, err := m.Disable(t.Context(), "other@1"); err != nil || len(p.Steps()) > 0 {
		t.Errorf("disable what is not there: %v, %v", p, err)
	}

	// A second time nothing is to be done.
	if p, err = m.Enable(t.Context(), services()); err != nil || len(p.Steps()) > 0 {
		t.Errorf("again: %v, %v", p.Steps(), err)
	}
	// What is gone from a description goes, and what has changed is not restarted.
	fewer := services()
	fewer[0].Instances, fewer[0].Sockets, fewer[1].Nice = 1, nil, new(3)
	p = mustEnable(t, m, fewer)
	if f.enabled["web@2.service"] || f.active["web.socket"] != "" ||
		f.known["web@2.service"] != "" || f.active["db.service"] != "active" {
		t.Errorf("after a change: %s", f.state(t, m.Dir))
	}
	if !strings.Contains(strings.Join(p.Hints, "\n"), "systemctl restart db.service") {
		t.Errorf("hints %q", p.Hints)
	}

	byHand(t, m, []spec.Service{
		{Name: "web", Command: spec.Command{"/bin/web"}, Process: spec.Process{Chdir: "/"}},
	})

	p, err = m.Disable(t.Context(), namesOf(services())...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.Dir); err != nil { // the directory of the units stays
		t.Error(err)
	}
	if got := f.state(t, filepath.Dir(m.Dir)); got != before {
		t.Errorf("after disable: %s", got)
	}
	if p, err = m.Disable(t.Context(), "db"); err != nil || len(p.Steps()) > 0 {
		t.Errorf("disable again: %v, %v", p.Steps(), err)
	}
}

// TestOnItsWay: while a machine boots, a service that is still to come up is waited for, and one
// that only waits for its turn is stopped.
func TestOnItsWay(t *testing.T) {
	db := services()[1:2]
	ways := map[string]func(f *fakeSystemd){
		"activating": func(f *fakeSystemd) { f.active["db.service"] = "activating" },
		"queued": func(f *fakeSystemd) {
			delete(f.active, "db.service")
			f.queued["db.service"] = true
		},
	}
	for name, set := range ways {
		t.Run(name, func(t *testing.T) {
			m, f := fakeMachine(t)
			mustEnable(t, m, db)
			set(f)
			if st, err := m.Status(t.Context(), "db"); err != nil || st.Running {
				t.Errorf("status %+v, %v", st, err)
			}
			mustEnable(t, m, db)
			if f.active["db.service"] != "active" {
				t.Errorf("enable did not wait for it: %q", f.log)
			}
			set(f)
			p, err := m.Disable(t.Context(), "db")
			if err == nil {
				err = p.Apply(t.Context())
			}
			if err != nil || f.active["db.service"] != "" || f.queued["db.service"] {
				t.Errorf("disable did not stop it: %v, %q", err, f.log)
			}
		})
	}
}

// TestUndo: whichever command fails, nothing is left, and the error names it.
func TestUndo(t *testing.T) {
	count := func(m *Machine, f *fakeSystemd, plan func() (*Plan, error)) (steps int) {
		p, err := plan()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = m, f
		return len(p.steps)
	}
	for name, prepare := range map[string]func(
		t *testing.T, m *Machine, f *fakeSystemd,
	) func() (*Plan, error){
		"enable": func(t *testing.T, m *Machine, _ *fakeSystemd) func() (*Plan, error) {
			return func() (*Plan, error) { return m.Enable(t.Context(), services()) }
		},
		"change": func(t *testing.T, m *Machine, _ *fakeSystemd) func() (*Plan, error) {
			mustEnable(t, m, services())
			other := services()
			other[0].Instances, other[1].Nice = 1, new(1)
			other = append(other, spec.Service{
				Name:    "new",
				Command: spec.Command{"/bin/new"},
				Process: spec.Process{Chdir: "/"},
			})
			return func() (*Plan, error) { return m.Enable(t.Context(), other) }
		},
		"disable": func(t *testing.T, m *Machine, _ *fakeSystemd) func() (*Plan, error) {
			mustEnable(t, m, services())
			return func() (*Plan, error) { return m.Disable(t.Context(), namesOf(services())...) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, f := fakeMachine(t)
			n := count(m, f, prepare(t, m, f))
			for at := range n {
				m, f := fakeMachine(t)
				plan := prepare(t, m, f)
				before := f.state(t, filepath.Dir(m.Dir))
				p, err := plan()
				if err != nil {
					t.Fatal(err)
				}
				s := p.steps[at]
				if s.Action == "" {
					continue
				}
				// The step does its work and fails then, or fails at once.
				for _, half := range []bool{false, true} {
					p, err := plan()
					if err != nil {
						t.Fatal(err)
					}
					p.steps = append(p.steps[:at+1:at+1],
						Step{do: func(context.Context) error { return errInjected }})
					if !half {
						p.steps = p.steps[:at+1]
						p.steps[at].do = func(context.Context) error { return errInjected }
					}
					if err := p.Apply(t.Context()); !errors.Is(err, errInjected) ||
						strings.Contains(err.Error(), "could be undone") {
						t.Fatalf("step %d %s: %v", at, s, err)
					}
					if got := f.state(t, filepath.Dir(m.Dir)); got != before {
						t.Errorf("step %d %s (done %v) leaves\n%s\nbefore it was\n%s\n%q",
							at, s, half, got, before, f.log)
					}
				}
			}
		})
	}
}

// TestRefused: a unit that systemd does not start or read leaves nothing, and
// the reason is that of its properties.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		description string
		want        string
	}{
		"bad setting":     {"REFUSED", "db.service: systemd refuses the unit: bad-setting"},
		"does not start":  {"fails", "db.service: did not start: exit-code"},
		"cannot be asked": {"", "no bus"},
	} {
		t.Run(name, func(t *testing.T) {
			m, f := fakeMachine(t)
			before := f.state(t, filepath.Dir(m.Dir))
			started := false
			f.fail = func(line string) error {
				started = started || strings.HasPrefix(line, "start ")
				switch {
				case strings.HasPrefix(line, "start "):
					return errInjected
				case test.description == "" && strings.HasPrefix(line, "show") && !started:
					return errors.New("no bus")
				}
				return nil
			}
			db := services()[1]
			db.Description = test.description
			p, err := m.Enable(t.Context(), []spec.Service{db})
			if err == nil {
				err = p.Apply(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
			if got := f.state(t, filepath.Dir(m.Dir)); got != before {
				t.Errorf("left: %s\n%q", got, f.log)
			}
		})
	}
}

// TestCancelled: what was begun is undone when nobody waits any more.
func TestCancelled(t *testing.T) {
	m, f := fakeMachine(t)
	before := f.state(t, filepath.Dir(m.Dir))
	ctx, cancel := context.WithCancelCause(t.Context())
	p, err := m.Enable(ctx, services())
	if err != nil {
		t.Fatal(err)
	}
	f.fail = func(line string) error {
		if strings.HasPrefix(line, "start ") {
			cancel(errInjected)
		}
		return nil
	}
	p.steps = append(p.steps, Step{Action: Run, Argv: []string{"never"}})
	if err := p.Apply(ctx); !errors.Is(err, errInjected) {
		t.Errorf("error %v", err)
	}
	if got := f.state(t, filepath.Dir(m.Dir)); got != before {
		t.Errorf("left: %s\n%q", got, f.log)
	}
}

// TestInTheWay: what a person wrote or changed is neither replaced nor removed.
func TestInTheWay(t *testing.T) {
	db := services()[1:2]
	for name, test := range map[string]struct {
		put  func(path string) error
		want string
	}{
		"foreign": {
			func(path string) error {
				return os.WriteFile(path, []byte("[Service]\nExecStart=/bin/x\n"), 0o644)
			},
			"was not written by us",
		},
		"masked": {func(path string) error { return os.Symlink("/dev/null", path) },
			"was not written by us"},
		"dangling": {func(path string) error { return os.Symlink("/nowhere/x", path) },
			"was not written by us"},
		"another's": {func(path string) error {
			return os.WriteFile(path, writers.Seal([]byte("x\n"), "other", writers.Hash), 0o644)
		}, "was written for the service other"},
		"a link to one of ours": {func(path string) error {
			kept := filepath.Join(filepath.Dir(filepath.Dir(path)), "kept")
			return errors.Join(
				os.WriteFile(kept, writers.Seal([]byte("x\n"), "db", writers.Hash), 0o644),
				os.Symlink(kept, path),
			)
		}, "was not written by us"},
	} {
		t.Run(name, func(t *testing.T) {
			m, f := fakeMachine(t)
			path := filepath.Join(m.Dir, "db.service")
			if err := errors.Join(os.MkdirAll(m.Dir, 0o755), test.put(path)); err != nil {
				t.Fatal(err)
			}
			before := f.state(t, m.Dir)
			if _, err := m.Enable(t.Context(), db); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("enable: %v", err)
			}
			p, err := m.Disable(t.Context(), "db")
			if err != nil || len(p.Steps()) > 0 {
				t.Errorf("disable: %v, %v", p, err)
			}
			if got := f.state(t, m.Dir); got != before {
				t.Errorf("changed: %s", got)
			}
		})
	}
	t.Run("changed", func(t *testing.T) {
		m, f := fakeMachine(t)
		mustEnable(t, m, db)
		path := filepath.Join(m.Dir, "db.service")
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append(content, "Nice=5\n"...), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		before := f.state(t, m.Dir)
		var changed *ChangedError
		if _, err := m.Enable(t.Context(), db); !errors.As(err, &changed) ||
			changed.Paths[0] != path {
			t.Errorf("enable: %v", err)
		}
		if _, err := m.Disable(t.Context(), "db"); !errors.As(err, &changed) {
			t.Errorf("disable: %v", err)
		}
		if st, err := m.Status(t.Context(), "db"); err != nil || !st.Running {
			t.Errorf("status: %+v, %v", st, err)
		}
		// It stands in nobody else's way.
		if p, err := m.Disable(t.Context(), "web"); err != nil || len(p.Steps()) > 0 {
			t.Errorf("another service: %v, %v", p, err)
		}
		if got := f.state(t, m.Dir); got != before {
			t.Errorf("changed: %s", got)
		}
	})
}

// TestCopies: what a person has made of a file of ours, under another name, is theirs.
func TestCopies(t *testing.T) {
	for system, copies := range map[System][]string{
		Systemd: {"db.service.bak", "db2.service", "db.conf", "xdb.service", "db@.service",
			"db-2.service"},
		SysV:    {"db.bak", "db~", "db-2", "db2"},
		Runit:   {"db.bak", "db@"},
		Launchd: {"daemonry.db.plist.bak", "db.plist"},
		FreeBSD: {"db_old", "db1"},
	} {
		for _, name := range copies {
			if system.named(name, "db") {
				t.Errorf("%s: %s is taken for ours", system, name)
			}
		}
	}
	m, f := fakeMachine(t)
	mustEnable(t, m, services()[1:2])
	content, err := os.ReadFile(filepath.Join(m.Dir, "db.service"))
	if err != nil {
		t.Fatal(err)
	}
	plant(t, m.Dir, "db.service.bak="+string(content), "db2.service="+string(content)+"Nice=3\n")
	p, err := m.Disable(t.Context(), "db")
	if err == nil {
		err = p.Apply(t.Context())
	}
	if got := f.state(t, m.Dir); err != nil || !strings.Contains(got, "db.service.bak") ||
		!strings.Contains(got, "db2.service") || strings.Contains(got, "db.service ") {
		t.Errorf("%v, left: %s", err, got)
	}
}

// TestMeanwhile: what somebody changes between plan and act is not lost.
func TestMeanwhile(t *testing.T) {
	db := services()[1:2]
	for name, plan := range map[string]func(m *Machine) (*Plan, error){
		"written": func(m *Machine) (*Plan, error) { return m.Enable(t.Context(), db) },
		"replaced": func(m *Machine) (*Plan, error) {
			mustEnable(t, m, db)
			other := services()[1:2]
			other[0].Nice = new(1)
			return m.Enable(t.Context(), other)
		},
		"removed": func(m *Machine) (*Plan, error) {
			mustEnable(t, m, db)
			return m.Disable(t.Context(), "db")
		},
	} {
		m, _ := fakeMachine(t)
		p, err := plan(m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(m.Dir, "db.service")
		content, err := os.ReadFile(path)
		if err = errors.Join(ignoreMissing(err), os.MkdirAll(m.Dir, 0o755),
			os.WriteFile(path, append(content, "# mine\n"...), 0o644)); err != nil {
			t.Fatal(err)
		}
		p.steps = slices.DeleteFunc(p.steps, func(s Step) bool { return s.Action == Mkdir })
		if err := p.Apply(t.Context()); err == nil ||
			!strings.Contains(err.Error(), "somebody has changed it meanwhile") {
			t.Errorf("%s: %v", name, err)
		}
		now, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(now), "# mine\n") {
			t.Errorf("%s: %q, %v", name, now, err)
		}
	}
}

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
