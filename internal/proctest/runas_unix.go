//go:build unix

package proctest

import (
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// lookupUser returns the numbers of a user.
func lookupUser(name string) (uid, gid int, err error) {
	u, err := osuser.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

func giveTo(user, dir string) error {
	uid, gid, err := lookupUser(user)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

// commandAs returns the command that runs one test as a user: with the user's
// own group and no other, a home and a temporary directory, and no directory
// of root's.
func commandAs(user, home, test string) (*exec.Cmd, error) {
	uid, gid, err := lookupUser(user)
	if err != nil {
		return nil, err
	}
	exe, err := binary("test")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "-test.run="+exactly(test), "-test.v", "-test.count=1",
		"-test.paniconexit0")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "XDG_") || strings.HasPrefix(kv, "GOCOVERDIR=")
	})
	cmd.Env = append(cmd.Env, "HOME="+home, "TMPDIR="+home, "USER="+user, "LOGNAME="+user,
		runAsEnv+"="+test, usedEnv+"="+filepath.Join(home, "used"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{
			Uid:    uint32(uid),
			Gid:    uint32(gid),
			Groups: []uint32{uint32(gid)},
		},
	}
	return cmd, nil
}
