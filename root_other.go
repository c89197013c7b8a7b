//go:build !unix || aix

package daemonry

import (
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// enter cannot be asked for more than the directory: what a root is, or a user, differs from Unix,
// or we have no calls for it.
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
