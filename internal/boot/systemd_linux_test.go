package boot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
