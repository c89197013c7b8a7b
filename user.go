package daemonry

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/account"
)

// User is a user by numbers, as LookupUser finds them or as they are known without any file of
// users: in a container, a chroot, a program that names them in its configuration.
type User struct {
	UID, GID uint32
	// Groups are all the supplementary groups: none if it is empty, for root's must not be kept.
	Groups []uint32

	// Name, Home and Shell are what the daemon finds in USER and LOGNAME, HOME and SHELL, if
	// Options.Env is nil. One that is empty is taken from the line of UID in /etc/passwd; without
	// such a line it is the number, "/" or "/bin/sh".
	Name, Home, Shell string
}

// LookupUser finds a user in /etc/passwd, by name or else by number, with the groups that
// /etc/group has for it: the primary one first, as initgroups(3) has them.
//
// It reads these files and asks nobody else, so that a static program stays one: os/user makes it
// dynamic where cgo is on. Users that only a directory knows (LDAP, Active Directory, NIS,
// systemd's dynamic ones) cannot be found like this, nor can such groups of a user in the files. If
// nsswitch.conf(5) names such a directory the error for somebody who is not in the files says so;
// on macOS, where hardly anybody is in them, it always does. On systems that have no such files it
// wraps errors.ErrUnsupported.
func LookupUser(name string) (*User, error) {
	files := account.System()
	a, err := files.ByName(name)
	if _, unknown := errors.AsType[*account.UnknownError](err); unknown {
		if uid, bad := strconv.ParseUint(name, 10, 32); bad == nil {
			a, err = files.ByUID(uint32(uid))
		}
	}
	if err != nil {
		return nil, err
	}
	groups, err := files.Groups(a.Name, a.GID)
	if err != nil {
		return nil, err
	}
	return &User{a.UID, a.GID, groups, a.Name, a.Home, a.Shell}, nil
}

// environment is env with the variables that a login would have set for u. It may change env.
func (u *User) environment(env []string, files account.Files) ([]string, error) {
	a := account.Numeric(u.UID)
	if u.Name == "" || u.Home == "" || u.Shell == "" {
		known, err := files.ByUID(u.UID)
		if _, unknown := errors.AsType[*account.UnknownError](err); err != nil && !unknown {
			return nil, err
		}
		if err == nil {
			a = known
		}
	}
	name := cmp.Or(u.Name, a.Name)
	vars := []string{
		"HOME=" + cmp.Or(u.Home, a.Home), "SHELL=" + cmp.Or(u.Shell, a.Shell),
		"USER=" + name, "LOGNAME=" + name,
	}
	return append(slices.DeleteFunc(env, func(kv string) bool {
		return slices.ContainsFunc(vars, func(v string) bool { return nameOf(v) == nameOf(kv) })
	}), vars...), nil
}

// nameOf is the name of a variable.
func nameOf(kv string) string {
	name, _, _ := strings.Cut(kv, "=")
	return name
}
