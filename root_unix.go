//go:build unix

package daemonry

import (
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// enterRoot does what the stage could not, because the program's file need not
// be inside the new root. All threads change.
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
		c := sys.Credential{UID: p.user.UID, GID: p.user.GID, Groups: p.user.Groups}
		if err := sys.SetProcessCredential(c); err != nil {
			return err
		}
		if err := sys.VerifyCredential(c, 0); err != nil {
			return err
		}
	}
	return os.Chdir(p.dir)
}
