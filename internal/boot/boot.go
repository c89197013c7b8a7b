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
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/internal/account"
	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/freebsd"
	"github.com/daemonry/daemonry/internal/writers/launchd"
	"github.com/daemonry/daemonry/internal/writers/openrc"
	"github.com/daemonry/daemonry/internal/writers/runit"
	"github.com/daemonry/daemonry/internal/writers/s6"
	"github.com/daemonry/daemonry/internal/writers/systemd"
	"github.com/daemonry/daemonry/internal/writers/sysv"
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
	// Owner is that user, if it is not who asks. See [Machine.As].
	Owner *account.User
	// Linger has a user's services of systemd started at boot and go on after
	// the last logout. It stays so when they are removed.
	Linger bool
	// Run runs a command and returns what it printed on standard output. Nil
	// runs it. Tests put their own here.
	Run func(ctx context.Context, argv ...string) (string, error)

	// scan is a directory of links in place of runit's and s6's own: that of one
	// that runs beside what the machine boots with.
	scan string
	// For tests: what is below Root runs.
	stage bool
}

// live says whether the machine runs, and not only its tree is there.
func (m *Machine) live() bool { return m.Root == "" || m.stage }

// Here is the machine that this process runs on, for its effective user, with
// the evidence for what it boots with. The error says that there is nothing
// known to boot with, or nothing for an ordinary user.
func Here() (*Machine, Evidence, error) { return hereFor(Choice{}, None, "") }

// In is the machine that would boot from a tree.
func In(root string) (*Machine, Evidence, error) {
	system, evidence := Detect(root)
	m := &Machine{System: system, Root: root}
	if system == None {
		return m, evidence, &UnknownError{evidence}
	}
	return m, evidence, nil
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
	// begin is called before files are removed, or these are written. It adds to
	// p that those of them that start by themselves no more are not started at boot.
	begin(ctx context.Context, p *Plan, files []writers.File) error
	// enable adds to p what has the manager know, enable and start the services
	// whose files have been written. changed says that some were not there before.
	enable(ctx context.Context, p *Plan, files []writers.File, changed bool) error
	// disable adds to p what has the manager stop and forget services; the
	// files are removed after it, then end is called.
	disable(ctx context.Context, p *Plan, found []found) error
	end(p *Plan, found []found)
	// status asks for one service whose files are found.
	status(ctx context.Context, found []found) (Status, error)
	// control starts or stops the services of files.
	control(ctx context.Context, verb string, found []found) error
}

// plainManager is what most managers have of it: nothing to ask for, to begin or to end with.
type plainManager struct{ m *Machine }

func (p plainManager) options(context.Context) (writers.Options, error) {
	return writers.Options{User: p.m.User}, nil
}

// begin: whether a service is started at boot is said by its files.
func (plainManager) begin(context.Context, *Plan, []writers.File) error { return nil }

func (plainManager) end(*Plan, []found) {}

func (m *Machine) manager() (manager, writers.Target, error) {
	target, err := m.System.target()
	if err != nil {
		return nil, target, err
	}
	if m.User && target.UserDir == "" {
		return nil, target, &NoUserServicesError{m.System}
	}
	switch {
	case m.User && !m.live():
		return nil, target,
			errors.New("the services of a user cannot be changed in a tree that does not run")
	case m.User && m.Dir == "":
		return nil, target, errors.New("no directory for the services of a user")
	case m.Root != "":
		if _, err := tree(m.Root).resolve(m.dir()); err != nil {
			return nil, target, err
		}
	}
	switch m.System {
	case Systemd:
		return &systemdManager{m}, target, nil
	case Launchd:
		return &launchdManager{plainManager{m}}, target, nil
	case Runit:
		return &scanManager{plainManager{m}, runitInit{m}}, target, nil
	case S6:
		return &scanManager{plainManager{m}, s6Init{m}}, target, nil
	case OpenRC:
		return &scriptManager{plainManager{m}, openrcScripts{m}}, target, nil
	case SysV:
		return &scriptManager{plainManager{m}, sysvScripts{m}}, target, nil
	}
	return &scriptManager{plainManager{m}, freebsdScripts{m}}, target, nil
}

// files is the directory of the service files, as it is reached from here.
func (m *Machine) files() string { return m.path(m.dir()) }

func (m *Machine) dir() string {
	if m.Dir != "" {
		return m.Dir
	}
	target, err := m.System.target()
	if err != nil {
		return nowhere
	}
	return target.Dir
}

// path is a path of the machine as it is reached from here. In a tree links lead
// to where they will lead when it runs, never to the machine that prepares it.
func (m *Machine) path(name string) string {
	if m.Root == "" {
		return name
	}
	inside, err := tree(m.Root).resolve(name)
	if err != nil {
		inside = nowhere
	}
	return filepath.Join(m.Root, inside)
}

// nowhere is a path that cannot be there, for those that lead nowhere.
const nowhere = "/\x00"

// inside is the opposite of path.
func (m *Machine) inside(name string) string {
	return strings.TrimPrefix(name, strings.TrimSuffix(m.Root, "/"))
}
