// Package boot installs and removes boot services of the machine's init system.
//
// A [Machine] makes a [Plan] of what is to be written and run; nothing has
// happened until [Plan.Apply]. A plan is what is missing, so a second one is
// empty. If a step fails, those before it are undone, and the machine is as it
// was.
//
// What is ours is known by the mark in each file ([writers.ReadMark]), which
// names the service and holds the sum of the rest. A file without it, or with
// changes by a person, is neither replaced nor removed.
//
// The commands of init systems are asked for properties and exit statuses,
// never for texts that are made for people.
package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/freebsd"
	"github.com/daemonry/daemonry/internal/writers/launchd"
	"github.com/daemonry/daemonry/internal/writers/openrc"
	"github.com/daemonry/daemonry/internal/writers/runit"
	"github.com/daemonry/daemonry/internal/writers/s6"
	"github.com/daemonry/daemonry/internal/writers/systemd"
	"github.com/daemonry/daemonry/internal/writers/sysv"
	"github.com/daemonry/daemonry/spec"
)

// System is an init system, by the name of its target in package writers.
type System string

// The init systems that services can be installed in.
const (
	None    System = "" // nothing that we know
	Systemd System = "systemd"
	Launchd System = "launchd"
	OpenRC  System = "openrc"
	SysV    System = "sysv"
	Runit   System = "runit"
	S6      System = "s6"
	FreeBSD System = "freebsd"
)

// Machine is the machine whose boot is changed, and how it is reached. It is
// not changed by its methods.
type Machine struct {
	// System that the machine boots with.
	System System
	// Root is a tree that is prepared and not running: all paths are below it,
	// nothing is started, stopped or reloaded there, and commands that exist
	// in the tree alone are run by chroot(8). "" is the running machine.
	Root string
	// User means the services of an ordinary user, which systemd and launchd
	// have.
	User bool
	// Dir is where the files are written, below Root. "" is the place of the
	// system; with User it is needed.
	Dir string
	// UID of the user, with User.
	UID int
	// Run runs a command and returns what it printed on standard output. Nil
	// runs it. Tests put their own here.
	Run func(ctx context.Context, argv ...string) (string, error)

	scan string // directory of links in place of runit's and s6's own, for tests
}

// Here is the machine that this process runs on, for its effective user, with
// the evidence for what it boots with. The error says that there is nothing
// known to boot with, or nothing for an ordinary user.
func Here() (*Machine, Evidence, error) {
	system, evidence := Detect("")
	m := &Machine{System: system, UID: os.Geteuid()}
	m.User = m.UID != 0
	switch {
	case system == None:
		return m, evidence, &UnknownError{evidence}
	case !m.User:
		return m, evidence, nil
	}
	dir, err := userDir(system, os.Getenv)
	m.Dir = dir
	return m, evidence, err
}

// userDir is where the manager of a user reads its services.
func userDir(system System, getenv func(string) string) (string, error) {
	target, err := system.target()
	if err != nil {
		return "", err
	}
	if target.UserDir == "" {
		return "", &NoUserServicesError{system}
	}
	if config := getenv("XDG_CONFIG_HOME"); system == Systemd && filepath.IsAbs(config) {
		return filepath.Join(config, "systemd/user"), nil // systemd.unit(5)
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("HOME is not set to an absolute path")
	}
	return filepath.Join(home, target.UserDir), nil
}

// UnknownError says that the machine boots with nothing that we know.
type UnknownError struct{ Evidence Evidence }

func (e *UnknownError) Error() string {
	return "no init system that is known here: " + strings.Join(e.Evidence, "; ")
}

// NoUserServicesError says that an init system starts nothing for ordinary users.
type NoUserServicesError struct{ System System }

func (e *NoUserServicesError) Error() string {
	return string(e.System) + " has no services of ordinary users"
}

var targets = map[System]func() writers.Target{
	Systemd: systemd.Target, Launchd: launchd.Target, OpenRC: openrc.Target, SysV: sysv.Target,
	Runit: runit.Target, S6: s6.Target, FreeBSD: freebsd.Target,
}

func (s System) target() (writers.Target, error) {
	make, ok := targets[s]
	if !ok {
		return writers.Target{}, fmt.Errorf("no init system %q", string(s))
	}
	return make(), nil
}

// manager is what differs between init systems.
type manager interface {
	// options says how to render for the manager, as far as it must be asked.
	options(ctx context.Context) (writers.Options, error)
	// begin is called before files are written or removed.
	begin(p *Plan)
	// enable adds to p what has the manager know, enable and start the services
	// whose files have been written. changed says that some were not there before.
	enable(ctx context.Context, p *Plan, files []writers.File, changed bool) error
	// disable adds to p what has the manager stop and forget services; the
	// files are removed after it, then end is called.
	disable(ctx context.Context, p *Plan, found []found) error
	end(p *Plan, found []found)
	// status asks for one service whose files are found.
	status(ctx context.Context, name string, found []found) (Status, error)
	// control starts or stops the services of files.
	control(ctx context.Context, verb string, found []found) error
}

func (m *Machine) manager() (manager, writers.Target, error) {
	target, err := m.System.target()
	if err != nil {
		return nil, target, err
	}
	if m.User && target.UserDir == "" {
		return nil, target, &NoUserServicesError{m.System}
	}
	switch {
	case m.User && m.Root != "":
		return nil, target, errors.New("the services of a user cannot be changed in a tree that does not run")
	case m.User && m.Dir == "":
		return nil, target, errors.New("no directory for the services of a user")
	}
	switch m.System {
	case Systemd:
		return &systemdManager{m}, target, nil
	case Launchd:
		return &launchdManager{m}, target, nil
	case Runit:
		return &runitManager{m}, target, nil
	case S6:
		return &s6Manager{m}, target, nil
	case OpenRC:
		return &scriptManager{m, openrcScripts{m}}, target, nil
	case SysV:
		return &scriptManager{m, sysvScripts{m}}, target, nil
	}
	return &scriptManager{m, freebsdScripts{m}}, target, nil
}

// files is the directory of the service files, as it is reached from here.
func (m *Machine) files() string {
	if m.Dir != "" {
		return m.path(m.Dir)
	}
	target, err := m.System.target()
	if err != nil {
		return m.Root
	}
	return m.path(target.Dir)
}

// path is a path of the machine as it is reached from here.
func (m *Machine) path(name string) string { return filepath.Join(m.Root, name) }

// inside is the opposite of path.
func (m *Machine) inside(name string) string {
	return strings.TrimPrefix(name, strings.TrimSuffix(m.Root, "/"))
}

// Enable plans that services are there after every boot, and now, as services
// of the init system: their files are written, enabled and, where they start
// by themselves, started. Services must be resolved ([spec.Service.Resolve]).
// Files that are in the way are an error that names them.
func (m *Machine) Enable(ctx context.Context, services []spec.Service) (*Plan, error) {
	mgr, target, err := m.manager()
	if err != nil {
		return nil, err
	}
	services = ordered(services)
	for _, s := range services {
		if s.Name == supervisorName || strings.HasPrefix(s.Name, supervisorName+"-") {
			return nil, fmt.Errorf("%s: such names are for the supervisor's own boot service", s.Name)
		}
	}
	opts, err := mgr.options(ctx)
	if err != nil {
		return nil, err
	}
	out, err := target.Render(services, opts)
	if err != nil {
		return nil, err
	}
	return m.install(ctx, services, out)
}

// ordered puts services after those that they need, for init systems that start
// nothing else along with a service.
func ordered(services []spec.Service) []spec.Service {
	var list []spec.Service
	seen := map[string]bool{}
	var visit func(s spec.Service)
	visit = func(s spec.Service) {
		if seen[s.Name] {
			return
		}
		seen[s.Name] = true
		for _, name := range slices.Concat(s.Requires, s.Wants, s.After) {
			if i := slices.IndexFunc(services, func(o spec.Service) bool { return o.Name == name }); i >= 0 {
				visit(services[i])
			}
		}
		list = append(list, s)
	}
	for _, s := range services {
		visit(s)
	}
	return list
}

// EnableSupervisor plans that the supervisor is there after every boot, and
// starts what is wanted of its services.
func (m *Machine) EnableSupervisor(ctx context.Context, s Supervisor) (*Plan, error) {
	mgr, target, err := m.manager()
	if err != nil {
		return nil, err
	}
	opts, err := mgr.options(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.render(target, opts)
	if err != nil {
		return nil, err
	}
	p, err := m.install(ctx, []spec.Service{{Name: s.Name()}}, out)
	if err == nil && m.Root == "" {
		s.judge(p)
	}
	return p, err
}

// install plans that the files of the services are those of out and no others.
func (m *Machine) install(ctx context.Context, services []spec.Service, out writers.Output) (*Plan, error) {
	mgr, _, err := m.manager()
	if err != nil {
		return nil, err
	}
	p := m.newPlan(out.Notes)
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
		if s.Autostart != nil && !*s.Autostart {
			p.manual = append(p.manual, s.Name)
		}
	}
	slices.SortStableFunc(out.Files, func(x, y writers.File) int {
		return slices.Index(names, x.Service) - slices.Index(names, y.Service)
	})
	have, err := m.find(names)
	if err != nil {
		return nil, err
	}
	dir := m.files()
	if err := inTheWay(dir, out.Files); err != nil {
		return nil, err
	}
	mgr.begin(p)
	stale := without(have, dir, out.Files)
	if err := m.removal(ctx, mgr, p, stale); err != nil {
		return nil, err
	}
	changed := len(stale) > 0
	for _, f := range out.Files {
		written, err := p.write(filepath.Join(dir, filepath.FromSlash(f.Path)), f.Mode, f.Content)
		if err != nil {
			return nil, err
		}
		changed = changed || written
	}
	if err := mgr.enable(ctx, p, out.Files, changed); err != nil {
		return nil, err
	}
	p.settle()
	return p, nil
}

// removal plans that files and what the manager knows of them go.
func (m *Machine) removal(ctx context.Context, mgr manager, p *Plan, files []found) error {
	if len(files) == 0 {
		return nil
	}
	if err := mgr.disable(ctx, p, files); err != nil {
		return err
	}
	for _, f := range files {
		p.remove(f.path)
	}
	p.prune(files)
	mgr.end(p, files)
	return nil
}

// Disable plans that nothing is left of services that were enabled: they are
// stopped, and their files removed. What is not enabled is no error; a file
// that somebody has changed is.
func (m *Machine) Disable(ctx context.Context, names ...string) (*Plan, error) {
	mgr, _, err := m.manager()
	if err != nil {
		return nil, err
	}
	have, err := m.find(names)
	if err != nil {
		return nil, err
	}
	p := m.newPlan(nil)
	if len(have) == 0 {
		return p, nil
	}
	mgr.begin(p)
	if err := m.removal(ctx, mgr, p, have); err != nil {
		return nil, err
	}
	return p, nil
}

// Status is how a boot service is.
type Status struct {
	Name   string   `json:"name"`
	System System   `json:"system"`
	Files  []string `json:"files"` // what was written for it; none if it is not enabled through us
	// Enabled says that it is started at boot.
	Enabled bool `json:"enabled"`
	// Running says that it is up, with every instance it has.
	Running bool `json:"running"`
	// PID of its main process, 0 if there is none, several, or it is not known.
	PID int `json:"pid,omitzero"`
	// State in the manager's own word, where it has one: "active", "failed".
	State string `json:"state,omitempty"`
}

// Status asks the init system about a service that was enabled through us.
// Of a tree that is not running nothing but Files and Enabled is known.
func (m *Machine) Status(ctx context.Context, name string) (Status, error) {
	st := Status{Name: name, System: m.System}
	mgr, _, err := m.manager()
	if err != nil {
		return st, err
	}
	have, err := m.find([]string{name})
	var changed *ChangedError
	if err != nil && !errors.As(err, &changed) {
		return st, err
	}
	if changed != nil {
		have = changed.all
	}
	if len(have) == 0 {
		return st, nil
	}
	st, err = mgr.status(ctx, name, have)
	st.Name, st.System = name, m.System
	for _, f := range have {
		st.Files = append(st.Files, f.path)
	}
	return st, err
}

// Start has the init system start a service that was enabled through us.
func (m *Machine) Start(ctx context.Context, name string) error { return m.control(ctx, "start", name) }

// Stop has the init system stop a service; it stays enabled.
func (m *Machine) Stop(ctx context.Context, name string) error { return m.control(ctx, "stop", name) }

// Restart stops and starts it.
func (m *Machine) Restart(ctx context.Context, name string) error {
	return m.control(ctx, "restart", name)
}

func (m *Machine) control(ctx context.Context, verb, name string) error {
	mgr, _, err := m.manager()
	if err != nil {
		return err
	}
	have, err := m.find([]string{name})
	var changed *ChangedError
	if errors.As(err, &changed) {
		have, err = changed.all, nil
	}
	switch {
	case err != nil:
		return err
	case len(have) == 0:
		return fmt.Errorf("%s: %w", name, ErrNotEnabled)
	case m.Root != "":
		return fmt.Errorf("%s %s: %s is not running", verb, name, m.Root)
	}
	return mgr.control(ctx, verb, have)
}

// ErrNotEnabled says that no boot service of that name was written by us.
var ErrNotEnabled = errors.New("is no boot service of ours")
