package boot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/account"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// lasting is a directory that is not in /tmp, which no boot leaves anything of.
func lasting(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "boot-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func present(t *testing.T, s System) Present {
	t.Helper()
	list := Systems()
	i := slices.IndexFunc(list, func(p Present) bool { return p.System == s })
	if i < 0 || len(list) != len(systems) {
		t.Fatalf("%+v", list)
	}
	return list[i]
}

// TestSystems: each is listed with a reason, those that are here first.
func TestSystems(t *testing.T) {
	before := Present{Here: true, Boots: true}
	for i, p := range Systems() {
		if len(p.Evidence) == 0 || p.Boots && i > 0 || p.Here && !before.Here {
			t.Errorf("%d: %+v", i, p)
		}
		before = p
	}
	if p := present(t, Launchd); p.Here || p.Evidence[0] != "this is linux" {
		t.Errorf("%+v", p)
	}
	if boots, _ := Detect(""); boots != None && !present(t, boots).Boots {
		t.Errorf("%+v", present(t, boots))
	}
}

// runsvdir runs beside what the machine boots with.
func runsvdir(t *testing.T, scan string) {
	t.Helper()
	cmd := exec.Command("runsvdir", scan)
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// TestBeside installs in a runit that runs beside what the machine boots with.
func TestBeside(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := lasting(t)
	scan := filepath.Join(dir, "service")
	if err := os.Mkdir(scan, 0o755); err != nil {
		t.Fatal(err)
	}
	choice := Choice{System: "runit"}
	if m, _, err := Choose(choice); err == nil && m.scan == scan {
		t.Errorf("%+v", m)
	}
	runsvdir(t, scan)
	if os.Getuid() != 0 { // one of an ordinary user is not for services of the machine
		if p := present(t, Runit); p.scan == scan {
			t.Errorf("%+v", p)
		}
		return
	}
	m, _, err := Choose(choice)
	if err != nil || m.System != Runit || m.scan != scan || m.User {
		t.Fatalf("%+v, %v", m, err)
	}
	m.Dir = filepath.Join(dir, "sv")
	s := spec.Service{Name: "besides", Command: spec.Command{"/bin/sleep", "1000"},
		Process: spec.Process{Chdir: "/"}, Log: spec.Log{File: filepath.Join(dir, "log/current")}}
	mustEnable(t, m, []spec.Service{s})
	st, err := m.Status(t.Context(), "besides")
	if err != nil || !st.Running {
		t.Errorf("%+v, %v", st, err)
	}
	p, err := m.Disable(t.Context(), "besides")
	if err == nil {
		err = p.Apply(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

// TestDoesNotLast: what is in /tmp or /run is gone after a boot.
func TestDoesNotLast(t *testing.T) {
	p := Present{System: S6}
	p.beside([]scanner{{7, "runsvdir", "/etc/service"}, {8, "s6-svscan", "/run/service"}})
	if p.Here || !strings.Contains(fmt.Sprint(p.Evidence), "does not last over a boot") {
		t.Errorf("%+v", p)
	}
	p.beside([]scanner{{8, "s6-svscan", "/run/service"}, {9, "s6-svscan", "/srv/service"}})
	if !p.Here || p.scan != "/srv/service" {
		t.Errorf("%+v", p)
	}
	words := []string{"runsvdir", "-P", "/etc/service", "log: ...."}
	if got := scanDir(words); got != "/etc/service" {
		t.Errorf("%q", got)
	}
	if got := scanDir([]string{"s6-svscan"}); got != "" { // where it was started
		t.Errorf("%q", got)
	}
}

// TestAbsent: the error says what is not there, why, and what is.
func TestAbsent(t *testing.T) {
	list := []Present{
		{System: Runit, Here: true},
		{System: S6, Here: true},
		{System: OpenRC, Evidence: Evidence{"this machine boots with runit"}},
	}
	for name, want := range map[string]string{
		"openrc":  "openrc does not run here: this machine boots with runit; there is runit, s6",
		"upstart": `no init system "upstart" is known; there is runit, s6`,
	} {
		if got := (&AbsentError{name, list}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, system := range []string{"upstart", "launchd"} {
		if m, _, err := Choose(Choice{System: system}); err == nil ||
			!strings.Contains(err.Error(), system) {
			t.Errorf("%s: %+v, %v", system, m, err)
		}
	}
}

// TestChoose: whose services they are, and where.
func TestChoose(t *testing.T) {
	home := t.TempDir() // of who runs the test
	env := map[string]string{"HOME": home}
	for name, test := range map[string]struct {
		uid    int
		system System
		choice Choice
		dir    string // "" is the machine's
		err    string
	}{
		"root":            {0, Systemd, Choice{}, "", ""},
		"root, told so":   {0, Systemd, Choice{Scope: MachineScope}, "", ""},
		"root, of a user": {0, Systemd, Choice{Scope: UserScope}, "systemd/user", ""},
		"anybody":         {1, Systemd, Choice{}, "systemd/user", ""},
		"anybody, told so": {1, Launchd, Choice{Scope: UserScope},
			"Library/LaunchAgents", ""},
		"not the machine's": {1, Systemd, Choice{Scope: MachineScope}, "", "are root's to change"},
		"no such services":  {0, Runit, Choice{Scope: UserScope}, "", "no services of ordinary"},
		"no such scope":     {0, Runit, Choice{Scope: "all"}, "", `no scope "all": machine, user`},
		"somebody else":     {2, Systemd, Choice{User: "daemon"}, "", "root's to change, and dae"},
		"somebody of root": {0, Systemd, Choice{User: "daemon"},
			"/usr/sbin/.config/systemd/user", ""},
		"not of launchd":      {0, Launchd, Choice{User: "daemon"}, "", "that user's alone"},
		"nobody of that name": {0, Systemd, Choice{User: "not there"}, "", "not there"},
		"both": {0, Systemd, Choice{Scope: MachineScope, User: "daemon"}, "",
			"not those of"},
	} {
		m := &Machine{System: test.system, UID: test.uid}
		if test.uid == 0 && os.Getuid() != 0 && test.choice.Scope == UserScope {
			test.err = "which is not root's"
			if test.system == Runit {
				test.err = "no services of ordinary"
			}
		}
		err := m.choose(test.choice, func(name string) string { return env[name] })
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want %q", name, err, test.err)
			}
			continue
		}
		if err != nil || !strings.HasSuffix(m.Dir, test.dir) || m.User != (test.dir != "") {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// TestHomeOfSomebodyElse: root has it after su.
func TestHomeOfSomebodyElse(t *testing.T) {
	home := t.TempDir()
	if os.Getuid() == 0 {
		if err := os.Chown(home, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	m := &Machine{System: Systemd}
	err := m.choose(Choice{Scope: UserScope}, func(name string) string {
		return map[string]string{"HOME": home}[name]
	})
	if err == nil || !strings.Contains(err.Error(), "which is not root's") {
		t.Error(err)
	}
}

// TestOfSomebodyElse: root writes what is that user's, and follows none of their links.
func TestOfSomebodyElse(t *testing.T) {
	base := t.TempDir()
	const uid = 12345
	open := func(dirs ...string) {
		for _, dir := range dirs {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	home, mine := filepath.Join(base, "home"), filepath.Join(base, "mine")
	open(home, mine)
	f := newFakeSystemd(filepath.Join(home, "units"))
	var argv, hints []string
	m := &Machine{System: Systemd, Dir: f.dir, User: true, UID: uid,
		Owner: &account.User{Name: "alice", UID: uid, GID: uid, Home: home}}
	m.Run = func(ctx context.Context, words ...string) (string, error) {
		argv = words
		if words[0] == "systemctl" {
			words = slices.Delete(slices.Clone(words), 1, 3)
		}
		return f.run(ctx, words...)
	}
	enable := func() error {
		return m.As(func() error {
			p, err := m.Enable(t.Context(), services()[1:2])
			if err == nil {
				hints = p.Hints
				err = p.Apply(t.Context())
			}
			return err
		})
	}
	if os.Getuid() != 0 {
		if err := enable(); err == nil || !strings.Contains(err.Error(), "setfsgid") {
			t.Errorf("an ordinary user: %v", err)
		}
		return
	}
	for dir := base; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(home, uid, uid); err != nil {
		t.Fatal(err)
	}
	if err := enable(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"units/db.service", "units/db.env"} {
		fi, err := os.Stat(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner, _, err := sys.FileOwner(fi); err != nil || owner.UID != uid {
			t.Errorf("%s is owned by %+v, %v", name, owner, err)
		}
	}
	if !slices.Contains(argv, "--machine=alice@.host") {
		t.Errorf("%q", argv)
	}
	if len(hints) != 1 || !strings.HasSuffix(hints[0], "loginctl enable-linger alice") {
		t.Errorf("%q", hints)
	}
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mine, f.dir); err != nil {
		t.Fatal(err)
	}
	if err := enable(); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("through a link into a directory of root: %v", err)
	}
	if left, err := os.ReadDir(mine); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestLinger has it so, once, and takes it back if something fails.
func TestLinger(t *testing.T) {
	lingers := "no"
	var log []string
	f := newFakeSystemd(filepath.Join(t.TempDir(), "units"))
	f.user = true
	m := &Machine{System: Systemd, Dir: f.dir, User: true, UID: 1000, Linger: true}
	m.Run = func(ctx context.Context, words ...string) (string, error) {
		if words[0] != "loginctl" {
			return f.run(ctx, words...)
		}
		switch words[1] {
		case "enable-linger":
			lingers = "yes"
		case "disable-linger":
			lingers = "no"
		}
		log = append(log, words[1])
		return lingers + "\n", nil
	}
	p := mustEnable(t, m, services()[1:2])
	if !slices.Equal(log, []string{"show-user", "enable-linger"}) {
		t.Errorf("%q", log)
	}
	if p, err := m.Enable(t.Context(), services()[1:2]); err != nil || len(p.Steps()) > 0 {
		t.Errorf("%v, %v", p, err)
	}
	if err := p.Undo(t.Context()); err != nil || lingers != "no" {
		t.Errorf("%s, %v", lingers, err)
	}
}

// TestRuntimeDirectory: systemctl finds the manager of a user after su too.
func TestRuntimeDirectory(t *testing.T) {
	base, uid := t.TempDir(), os.Getuid()
	dir := filepath.Join(base, strconv.Itoa(uid))
	m := &Machine{System: Systemd, User: true, UID: uid}
	has := func(have string) bool {
		return slices.Contains(m.environ(func(string) string { return have }, base),
			"XDG_RUNTIME_DIR="+dir)
	}
	if has("") {
		t.Error("there is none")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !has("") || has("/run/other") {
		t.Error("it is set if it is not")
	}
	m.User = false
	if has("") {
		t.Error("the manager of the machine needs none")
	}
}
