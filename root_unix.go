//go:build unix

package daemonry

import (
	"errors"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// enterRoot does what the stage could not, because the program's file need not
// be inside the new root. All threads change, which package syscall sees to.
func enterRoot(p plan) error {
	if p.chroot == "" {
		return nil
	}
	if err := sys.Chroot(p.chroot); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if p.user != nil {
		groups := make([]int, len(p.user.Groups))
		for i, g := range p.user.Groups {
			groups[i] = int(g)
		}
		if err := errors.Join(
			os.NewSyscallError("setgroups", syscall.Setgroups(groups)),
			os.NewSyscallError("setgid", syscall.Setgid(int(p.user.GID))),
			os.NewSyscallError("setuid", syscall.Setuid(int(p.user.UID))),
		); err != nil {
			return err
		}
		if err := sys.VerifyCredential(sys.Credential{UID: p.user.UID, GID: p.user.GID, Groups: p.user.Groups}, 0); err != nil {
			return err
		}
	}
	return os.Chdir(p.dir)
}
