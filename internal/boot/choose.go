package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/daemonry/daemonry/internal/account"
	"github.com/daemonry/daemonry/internal/sys"
)

// Choice says which of the init systems and whose services are meant; the zero value is that of
// [Here].
type Choice struct {
	// System by its name; "" is what the machine boots with.
	System string
	Scope  Scope
	// User is who has the services, by name, if not who asks. It needs root, systemd and Linux.
	User string
}

// Scope is whose the services are.
type Scope string

// The scopes of services.
const (
	AnyScope     Scope = ""        // the machine's for root, else the user's own
	MachineScope Scope = "machine" // the machine's, or an error
	UserScope    Scope = "user"    // the user's own, also root's
)

// Choose is the machine that this process runs on, with the init system and the services chosen.
func Choose(c Choice) (*Machine, Evidence, error) {
	if c.System == "" {
		return hereFor(c, None, "")
	}
	list := Systems()
	for _, p := range list {
		if string(p.System) != c.System || !p.Here {
			continue
		}
		if p.Boots {
			return hereFor(c, None, "")
		}
		return hereFor(c, p.System, p.scan)
	}
	return nil, nil, &AbsentError{c.System, list}
}

// hereFor is this machine with a system that runs beside the one that it boots with, or None.
func hereFor(c Choice, beside System, scan string) (*Machine, Evidence, error) {
	system, evidence := Detect("")
	if err := sys.NeedsUnix("a service at boot"); err != nil {
		return nil, evidence, err
	}
	if beside != None {
		system = beside
	}
	m := &Machine{System: system, UID: os.Geteuid(), scan: scan}
	if system == None {
		m.User = m.UID != 0
		return m, evidence, &UnknownError{evidence}
	}
	return m, evidence, m.choose(c, os.Getenv)
}

// choose finds out whose services they are, and where.
func (m *Machine) choose(c Choice, getenv func(string) string) (err error) {
	switch {
	case c.Scope != AnyScope && c.Scope != MachineScope && c.Scope != UserScope:
		return fmt.Errorf("no scope %q: %s, %s", c.Scope, MachineScope, UserScope)
	case c.User != "" && c.Scope == MachineScope:
		return fmt.Errorf("the services of the machine are not those of %s", c.User)
	case m.UID != 0 && c.Scope == MachineScope:
		return errors.New("the services of the machine are root's to change")
	}
	m.User = m.UID != 0 || c.Scope == UserScope || c.User != ""
	if !m.User {
		return nil
	}
	if c.User != "" {
		if err := m.own(c.User); err != nil {
			return err
		}
	}
	m.Dir, err = m.userDir(getenv)
	return err
}

// own makes the services those of a user by name.
func (m *Machine) own(name string) error {
	user, err := account.System().ByName(name)
	switch {
	case err != nil:
		return err
	case int(user.UID) == m.UID:
		return nil
	case m.UID != 0:
		return fmt.Errorf("the services of %s are root's to change, and %[1]s's", name)
	case m.System != Systemd:
		return fmt.Errorf("%s: the services of %s are that user's alone to change", m.System, name)
	}
	m.Owner, m.UID = user, int(user.UID)
	return nil
}

// userDir is where the manager of a user reads its services.
func (m *Machine) userDir(getenv func(string) string) (string, error) {
	target, err := m.System.target()
	if err != nil {
		return "", err
	}
	if target.UserDir == "" {
		return "", &NoUserServicesError{m.System}
	}
	if m.Owner != nil { // whose variables nobody knows
		return filepath.Join(m.Owner.Home, target.UserDir), nil
	}
	if config := getenv("XDG_CONFIG_HOME"); m.System == Systemd && filepath.IsAbs(config) {
		return filepath.Join(config, "systemd/user"), nil // systemd.unit(5)
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("HOME is not set to an absolute path")
	}
	if err := m.atHome(home); err != nil {
		return "", err
	}
	return filepath.Join(home, target.UserDir), nil
}

// atHome refuses a HOME that root has from somebody else, as some have it after su and sudo: what
// is written there is in that user's hands, and root's manager does not read it.
func (m *Machine) atHome(home string) error {
	fi, err := os.Stat(home)
	if m.UID != 0 || err != nil { // what is not there will be made
		return ignoreMissing(err)
	}
	owner, _, err := sys.FileOwner(fi)
	if err == nil && owner.UID != 0 {
		err = fmt.Errorf("HOME is %s, which is not root's", home)
	}
	return err
}

// As calls f as the user whose services they are, where files are concerned: of what root writes
// into the directories of somebody else, nothing may follow that user's links with root's rights.
func (m *Machine) As(f func() error) error {
	if m.Owner == nil {
		return f()
	}
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		done, err := sys.SetThreadFSUser(int(m.Owner.UID), int(m.Owner.GID))
		if err == nil {
			err = f()
			done()
		}
		ended <- err
	}()
	return <-ended
}
