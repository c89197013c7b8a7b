package boot

import (
	"strings"

	"github.com/daemonry/daemonry/internal/boot"
)

// System is an init system that services can be installed in.
type System struct {
	// Name is what Service.System and Result.System say: "systemd", "launchd", "openrc", "sysv",
	// "runit", "s6" or "freebsd".
	Name string
	// Available says that it runs here, Default that it is what the machine boots with. Of runit
	// and s6 one may run beside that, and be chosen.
	Available, Default bool
	// Why says by what that is seen, in words for a person.
	Why string
}

// Systems lists all init systems that are known: first the one that the machine boots with, then
// those that run beside it, then those that are not here.
func Systems() []System {
	var list []System
	for _, p := range boot.Systems() {
		list = append(list, System{
			Name:      string(p.System),
			Available: p.Here,
			Default:   p.Boots,
			Why:       strings.Join(p.Evidence, "; "),
		})
	}
	return list
}

// Scope is whose service it is.
type Scope string

// The scopes of a service.
const (
	// AnyScope is the zero value: what root installs is the machine's, what anybody else installs
	// is their own.
	AnyScope Scope = ""
	// MachineScope is the machine's, or an error: for root alone.
	MachineScope Scope = "machine"
	// UserScope is the user's own, also if that is root.
	UserScope Scope = "user"
)

// machine is where the service is installed.
func (s Service) machine() (*boot.Machine, error) {
	if s.here != nil {
		return s.here()
	}
	m, _, err := boot.Choose(boot.Choice{
		System: s.System,
		Scope:  boot.Scope(s.Scope),
		User:   s.User,
	})
	if m != nil {
		m.Linger = s.Linger
	}
	return m, err
}
