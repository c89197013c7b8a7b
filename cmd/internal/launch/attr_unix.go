//go:build unix

package launch

import (
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// commandAttr runs a probing command as the daemon's user.
func commandAttr(c *sys.Credential) *syscall.SysProcAttr {
	if c == nil {
		return nil
	}
	return &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups},
	}
}
