//go:build unix && !aix

package daemonry

import (
	"os"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// enter changes this process, all of its threads, to the root, the user and the directory of the
// plan, as far as there are any.
func (p *plan) enter() error {
	threads, err := sys.OpenThreads() // before /proc is out of reach
	if err != nil {
		return err
	}
	defer threads.Close()
	if p.chroot == "" && p.dir != "" {
		if err := spawn.OpenOrigin(); err != nil {
			return err
		}
	}
	if p.chroot != "" {
		spawn.DropOrigin()
		if err := sys.Chroot(p.chroot); err != nil {
			return err
		}
		if err := os.Chdir("/"); err != nil {
			return err
		}
	}
	if p.user != nil {
		c := p.user.credential()
		if err := sys.SetProcessCredential(*c); err != nil {
			return err
		}
		if err := sys.VerifyProcessCredential(*c, threads); err != nil {
			return err
		}
	}
	if p.dir == "" {
		return nil
	}
	return os.Chdir(p.dir)
}

func (u *User) credential() *sys.Credential {
	return &sys.Credential{UID: u.UID, GID: u.GID, Groups: u.Groups}
}

func (o *Options) takeUmask() error {
	if o.Umask != nil {
		sys.Umask(*o.Umask)
	}
	return nil
}
