//go:build !unix

package daemonry

import (
	"os"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// DefaultCommands are those of nginx -s, as far as the system has signals. The caller may change
// them.
func DefaultCommands() Commands {
	return Commands{"stop": syscall.SIGTERM, "quit": syscall.SIGQUIT, "reload": syscall.SIGHUP}
}

// enter cannot be asked for any of it: what Chroot is, or a user, differs from Unix.
func (p *plan) enter() error {
	if p.chroot != "" || p.user != nil {
		return sys.Unsupported("changing the root or the user")
	}
	if p.dir == "" {
		return nil
	}
	return os.Chdir(p.dir)
}

func (u *User) credential() *sys.Credential { return nil }

func (o *Options) takeUmask() error {
	if o.Umask != nil {
		return sys.Unsupported("setting a umask")
	}
	return nil
}
