package boot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
)

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
