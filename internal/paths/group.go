package paths

import (
	"errors"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/internal/account"
	"github.com/daemonry/daemonry/internal/sys"
)

// logReaders may read the system's logs on Debian and what comes from it (base-passwd,
// users-and-groups).
const logReaders = "adm"

// openToReaders lets those who may read the system's logs into a directory that was just made.
// Where there is no such group, or in this user namespace it cannot be given away (chown(2): EPERM,
// EINVAL), and where an ordinary user has made it, it stays closed to everybody else.
func openToReaders(dir *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	id, err := account.System().GroupByName(logReaders)
	if err != nil {
		return nil
	}
	gid := int(id)
	err = share(dir, "log", &gid, 0)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// overflowGID is what groups without a number in our user namespace are shown as; outside of one it
// is nobody's group.
const overflowGID = 65534

// LogGroup is the group that root's log files are given, that of the log directory; 0 if that is
// none but our own.
func (p Paths) LogGroup() (int, error) {
	fi, err := os.Stat(p.Log)
	if err != nil {
		return 0, err
	}
	owner, _, err := sys.FileOwner(fi)
	if err != nil {
		return 0, err
	}
	if os.Geteuid() != 0 || owner.GID == os.Getegid() || owner.GID == overflowGID {
		return 0, nil
	}
	return owner.GID, nil
}
