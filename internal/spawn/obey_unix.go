//go:build unix && !aix

package spawn

import (
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// obey says why we must not do what is asked for on the channel: who made it has less power than
// we. A program that is set-user-ID, or that sudo(8) runs, has its standard input from somebody who
// is not to command it, and anybody can make a pair of sockets and write a magic into it.
//
// The kernel notes who makes a pair (SO_PEERCRED, unix(7)). That must be root, or the very user and
// group that we are: a stage runs as its parent does, and whoever becomes another user was root
// before.
func obey(c sys.Channel) error {
	uid, gid := os.Geteuid(), os.Getegid()
	peer, err := c.Peer()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if os.Getuid() != uid || os.Getgid() != gid {
			return fmt.Errorf("%w in a program that is set-user-ID or set-group-ID", errRefused)
		}
	case err != nil:
		return err
	case peer.UID != 0 && (peer.UID != uid || peer.GID != gid):
		return fmt.Errorf("%w: they are of user %d and group %d, and this is user %d and group %d",
			errRefused, peer.UID, peer.GID, uid, gid)
	}
	return nil
}

var errRefused = errors.New("refused")

// shed gives up the capabilities that a stage has from its file: that one commands it who is the
// same user does not say that he has them, too. The target gets from its own file what belongs to
// it. Those that were inherited stay.
func shed() error {
	if os.Geteuid() == 0 || !sys.GainedPrivileges() {
		return nil
	}
	if err := sys.IfSupported(sys.SetThreadCapabilities(0, sys.NoAmbient)); err != nil {
		return fail(StepCaps, "", err)
	}
	return nil
}
