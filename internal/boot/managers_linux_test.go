package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// fakeTools are the commands of init systems other than systemd. What they know
// is in links below root, and in running.
type fakeTools struct {
	root    string
	running map[string]bool
	vars    map[string]string
	log     []string
}

func (f *fakeTools) run(ctx context.Context, argv ...string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	line := strings.Join(argv, " ")
	if argv[0] == "chroot" {
		argv = argv[2:]
	}
	status, out, err := f.command(argv)
	if status != 0 || err != nil {
		return "", &CommandError{Argv: argv, Status: status, Err: errors.Join(err,
			fmt.Errorf("exit status %d", status))}
	}
	if !strings.Contains(line, "status") && !strings.Contains(line, "print") &&
		!strings.Contains(line, "-n -q") && argv[1] != "list" {
		f.log = append(f.log, line)
	}
	return out, nil
}

func (f *fakeTools) command(argv []string) (status int, out string, err error) {
	link := func(dir, name string) string { return filepath.Join(f.root, dir, name) }
	switch argv[0] + " " + argv[1] {
	case "rc-update --quiet":
		at := link("etc/runlevels/default", argv[3])
		if argv[2] == "add" {
			return 0, "", os.Symlink("/etc/init.d/"+argv[3], at)
		}
		return 0, "", os.Remove(at)
	case "update-rc.d -f":
		return 0, "", os.Remove(link("etc/rc2.d", "S01"+argv[2]))
	case "sysrc -x":
		delete(f.vars, argv[2])
		return 0, "", nil
	case "sysrc -n":
		value, ok := f.vars[argv[3]]
		if !ok {
			return 1, "", nil
		}
		return 0, value + "\n", nil
	case "launchctl print":
		return f.code(argv[2], 113), "", nil
	case "launchctl list":
		if !f.running["system/"+argv[2]] {
			return 113, "", nil
		}
		return 0, "{\n\t\"Label\" = \"" + argv[2] + "\";\n\t\"PID\" = 42;\n};\n", nil
	case "launchctl bootstrap":
		f.running["system/"+strings.TrimSuffix(filepath.Base(argv[3]), ".plist")] = true
		return 0, "", nil
	case "launchctl bootout":
		delete(f.running, argv[2])
		return 0, "", nil
	}
	switch argv[0] {
	case "update-rc.d":
		return 0, "", os.Symlink("../init.d/"+argv[1], link("etc/rc2.d", "S01"+argv[1]))
	case "sysrc":
		name, value, _ := strings.Cut(argv[1], "=")
		f.vars[name] = value
		return 0, "", nil
	case "rc-service", "service":
		return f.service(argv)
	}
	return 127, "", fmt.Errorf("no command %q", argv)
}

func (f *fakeTools) code(name string, otherwise int) int {
	if f.running[name] {
		return 0
	}
	return otherwise
}

func (f *fakeTools) service(argv []string) (int, string, error) {
	name := argv[1]
	switch argv[2] {
	case "status":
		return f.code(name, map[string]int{"rc-service": 3, "service": 1}[argv[0]]), "", nil
	case "start":
		f.running[name] = true
	case "stop":
		if !f.running[name] {
			return 1, "", nil
		}
		delete(f.running, name)
	}
	return 0, "", nil
}

func (f *fakeTools) state(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%s\nrunning %v\nvariables %v", filesBelow(t, f.root), f.running, f.vars)
}

// staged is a machine whose tree is a directory of the test, with fake commands.
func staged(t *testing.T, system System) (*Machine, *fakeTools) {
	t.Helper()
	f := &fakeTools{root: t.TempDir(), running: map[string]bool{}, vars: map[string]string{}}
	plant(t, f.root, "etc/runlevels/default", "etc/rc2.d", "etc/init.d/README=x\n",
		"usr/local/etc/rc.d", "Library/LaunchDaemons")
	return &Machine{System: system, Root: f.root, Run: f.run, stage: true}, f
}

func scripted() []spec.Service {
	return []spec.Service{
		{Name: "web", Command: spec.Command{"/usr/bin/web"}, Process: spec.Process{Chdir: "/"},
			Requires: []string{"db"}},
		{Name: "db", Command: spec.Command{"/usr/bin/db"},
			Process: spec.Process{Chdir: "/", Env: map[string]string{"A": "b"}}},
	}
}

var managed = []System{OpenRC, SysV, FreeBSD, Launchd}

// TestManagers enables, enables again and disables, in every init system with
// scripts or jobs.
func TestManagers(t *testing.T) {
	for _, system := range managed {
		t.Run(string(system), func(t *testing.T) {
			m, f := staged(t, system)
			before := f.state(t)
			mustEnable(t, m, scripted())
			if len(f.running) != 2 {
				t.Errorf("running: %v", f.running)
			}
			// What is needed by others is started first.
			if at := slices.IndexFunc(f.log, func(l string) bool {
				return strings.Contains(l, "start") && strings.Contains(l, "web")
			}); system != Launchd &&
				!slices.ContainsFunc(f.log[:max(at, 0)], func(l string) bool {
					return strings.Contains(l, "start") && strings.Contains(l, "db")
				}) {
				t.Errorf("order: %q", f.log)
			}
			st, err := m.Status(t.Context(), "web")
			if err != nil || !st.Enabled || !st.Running || system == Launchd && st.PID != 42 {
				t.Errorf("status %+v, %v", st, err)
			}
			if p, err := m.Enable(t.Context(), scripted()); err != nil || len(p.Steps()) > 0 {
				t.Errorf("again: %v, %v", p.Steps(), err)
			}
			changed := scripted()
			changed[0].Description = "new"
			changed[0].Nice = new(3)
			if p := mustEnable(t, m, changed); len(p.Hints) != 1 || len(p.Steps()) != 1 {
				t.Errorf("a change: %v, %q", p.Steps(), p.Hints)
			}
			byHand(t, m, scripted())
			if err := errors.Join(m.Stop(t.Context(), "web"),
				m.Start(t.Context(), "web")); err != nil {
				t.Errorf("stop and start: %v", err)
			}
			if err := m.Start(t.Context(), "other"); !errors.Is(err, ErrNotEnabled) {
				t.Errorf("start of what is not there: %v", err)
			}
			p, err := m.Disable(t.Context(), "web", "db")
			if err == nil {
				err = p.Apply(t.Context())
			}
			if got := f.state(t); err != nil || got != before {
				t.Errorf("after disable: %v\n%s\nbefore\n%s", err, got, before)
			}
		})
	}
}

// byHand: what shall not start by itself any more is not started at boot, and then
// is again.
func byHand(t *testing.T, m *Machine, changed []spec.Service) {
	t.Helper()
	if m.System == Launchd { // where it is the file that says so
		return
	}
	mustEnable(t, m, changed)
	for _, autostart := range []bool{false, true} {
		changed[0].Autostart = &autostart
		p, err := m.Enable(t.Context(), changed)
		if err != nil {
			t.Fatal(err)
		}
		p.steps = append(p.steps, Step{do: func(context.Context) error { return errInjected }})
		if err := p.Apply(t.Context()); !errors.Is(err, errInjected) ||
			strings.Contains(err.Error(), "be undone") {
			t.Fatal(err)
		}
		if st, err := m.Status(t.Context(), "web"); err != nil || st.Enabled == autostart {
			t.Errorf("autostart %v undone: %+v, %v", autostart, st, err)
		}
		mustEnable(t, m, changed)
		if st, err := m.Status(t.Context(), "web"); err != nil ||
			st.Enabled != autostart || !st.Running {
			t.Errorf("autostart %v: %+v, %v", autostart, st, err)
		}
	}
}

// TestManagersUndo fails at every step.
func TestManagersUndo(t *testing.T) {
	for _, system := range managed {
		t.Run(string(system), func(t *testing.T) {
			for _, disable := range []bool{false, true} {
				for at := 0; ; at++ {
					m, f := staged(t, system)
					if disable {
						mustEnable(t, m, scripted())
					}
					before := f.state(t)
					p, err := m.Enable(t.Context(), scripted())
					if disable {
						p, err = m.Disable(t.Context(), "web", "db")
					}
					if err != nil {
						t.Fatal(err)
					}
					if at == len(p.steps) {
						break
					}
					p.steps = append(p.steps[:at+1:at+1],
						Step{do: func(context.Context) error { return errInjected }})
					if err := p.Apply(t.Context()); !errors.Is(err, errInjected) ||
						strings.Contains(err.Error(), "be undone") {
						t.Fatalf("step %d %s: %v", at, p.steps[at], err)
					}
					if got := f.state(t); got != before {
						t.Errorf("disable %v, step %d %s leaves\n%s\nbefore it was\n%s",
							disable, at, p.steps[at], got, before)
					}
				}
			}
		})
	}
}

// TestTree prepares a tree that does not run: nothing is started, and commands
// of the tree run inside it.
func TestTree(t *testing.T) {
	for system, want := range map[System]string{
		OpenRC:  "chroot ROOT rc-update --quiet add db default",
		SysV:    "chroot ROOT update-rc.d db defaults",
		FreeBSD: "sysrc -R ROOT db_enable=YES",
		Systemd: "systemctl --root=ROOT enable db.service",
		Launchd: "",
		Runit:   "",
	} {
		t.Run(string(system), func(t *testing.T) {
			root := t.TempDir()
			plant(t, root, "etc/service")
			var log []string
			m := &Machine{
				System: system,
				Root:   root,
				Run: func(_ context.Context, argv ...string) (string, error) {
					line := strings.ReplaceAll(strings.Join(argv, " "), root, "ROOT")
					if strings.Contains(line, " -n ") {
						return "", &CommandError{Status: 1, Err: errInjected}
					}
					log = append(log, line)
					return "", nil
				},
			}
			mustEnable(t, m, scripted()[1:])
			if got := strings.Join(log, "\n"); got != want {
				t.Errorf("ran %q, want %q", got, want)
			}
			if st, err := m.Status(t.Context(), "db"); err != nil || st.Running ||
				len(st.Files) == 0 || !strings.HasPrefix(st.Files[0], root) {
				t.Errorf("status %+v, %v", st, err)
			}
			if err := m.Start(t.Context(), "db"); err == nil {
				t.Error("something was started")
			}
			if system == Runit {
				if target, err := os.Readlink(root + "/etc/service/db"); err != nil ||
					target != "/etc/sv/db" {
					t.Errorf("link to %q, %v", target, err)
				}
			}
			if p, err := m.Disable(t.Context(), "db"); err != nil {
				t.Error(err)
			} else if err := p.Apply(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTreeLinks: links of a tree lead to where they will lead when it runs, not to
// the machine that prepares it.
func TestTreeLinks(t *testing.T) {
	outside := t.TempDir()
	plant(t, outside, "sv", "service")
	for name, test := range map[string]struct {
		tree []string
		want string // "" if it cannot be
	}{
		"absolute": {
			[]string{"etc/sv->" + outside + "/sv", "etc/service->" + outside + "/service",
				strings.TrimPrefix(outside, "/") + "/service"},
			outside,
		},
		"above the root": {[]string{"etc/sv->../../../../../.." + outside + "/sv", "etc/service"},
			outside},
		"void": {
			[]string{"var/service->/run/runit/runsvdir/current", "etc/runit/runsvdir/default"},
			"etc/sv",
		},
		"itself": {[]string{"etc/sv->/etc/sv", "etc/service"}, ""},
	} {
		root := t.TempDir()
		plant(t, root, test.tree...)
		m := &Machine{System: Runit, Root: root}
		p, err := m.Enable(t.Context(), scripted()[1:])
		if err == nil {
			err = p.Apply(t.Context())
		}
		if test.want == "" {
			if err == nil || !strings.Contains(err.Error(), "too many symbolic links") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if st, statusErr := m.Status(t.Context(), "db"); err != nil || statusErr != nil ||
			!st.Enabled ||
			!strings.HasPrefix(st.Files[0], filepath.Join(root, test.want)) {
			t.Errorf("%s: %v, %+v, %v", name, err, st, statusErr)
		}
	}
	if got := filesBelow(t, outside); strings.Contains(got, "db") {
		t.Errorf("written outside of the tree: %s", got)
	}
}

// TestSupervisorEverywhere: every init system can be given the supervisor.
func TestSupervisorEverywhere(t *testing.T) {
	for _, system := range append(slices.Clone(managed), Runit, S6, Systemd) {
		target, err := system.target()
		if err != nil {
			t.Fatal(err)
		}
		m, _ := staged(t, system)
		for _, env := range []map[string]string{nil, {"DAEMONRY_ROOT": "/srv/a b"}} {
			out, err := Supervisor{Program: "/opt/a b/daemonry", Env: env}.render(target,
				writers.Options{})
			if err != nil || len(out.Files) == 0 {
				t.Errorf("%s: %v", system, err)
				continue
			}
			var text strings.Builder
			for _, f := range out.Files {
				text.Write(f.Content)
			}
			if !strings.Contains(text.String(), "/opt/a b/daemonry") {
				t.Errorf("%s: the program is not in %s", system, text.String())
			}
		}
		if _, err := m.EnableSupervisor(t.Context(), Supervisor{Program: "daemonry"}); err == nil {
			t.Errorf("%s: took a relative program", system)
		}
	}
}
