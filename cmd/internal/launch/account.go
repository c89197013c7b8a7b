package launch

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Account is a user of the system: who to become, and what a login would know.
type Account struct {
	sys.Credential
	Name  string
	Home  string
	Shell string
}

// LookupAccount reads "USER" or "USER:GROUP", each a name or a number. The
// supplementary groups are those the user database has for the user, and GROUP. A
// number without an entry is taken as it is, with no groups but GROUP, which it then needs.
func LookupAccount(text string) (*Account, error) {
	name, group, hasGroup := strings.Cut(text, ":")
	a, err := lookupUser(name, hasGroup)
	if err != nil {
		return nil, err
	}
	if hasGroup {
		if a.GID, err = LookupGroup(group); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(a.Groups, a.GID) {
		a.Groups = append(a.Groups, a.GID)
	}
	return a, nil
}

func lookupUser(name string, hasGroup bool) (*Account, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		var uid uint64
		if uid, err = strconv.ParseUint(name, 10, 32); err != nil {
			return nil, fmt.Errorf("user %q: no such user", name)
		}
		if u, err = user.LookupId(name); err != nil {
			return numericAccount(uint32(uid), name, hasGroup, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	return accountOf(u)
}

// numericAccount is a uid that the user database does not know.
func numericAccount(uid uint32, name string, hasGroup bool, err error) (*Account, error) {
	var unknown user.UnknownUserIdError
	if !errors.As(err, &unknown) {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	if !hasGroup {
		return nil, fmt.Errorf("user %q: not in the user database, so it needs a group: %s:GROUP",
			name, name)
	}
	return &Account{Credential: sys.Credential{UID: uid}, Name: name, Home: "/", Shell: "/bin/sh"},
		nil
}

func accountOf(u *user.User) (*Account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %q: uid %q is not a number", u.Username, u.Uid)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %q: gid %q is not a number", u.Username, u.Gid)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %q: %w", u.Username, err)
	}
	a := &Account{
		Credential: sys.Credential{UID: uint32(uid), GID: uint32(gid)},
		Name:       u.Username,
		Home:       u.HomeDir,
		Shell:      loginShell(u.Uid),
	}
	for _, id := range ids {
		g, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("groups of user %q: gid %q is not a number", u.Username, id)
		}
		a.Groups = append(a.Groups, uint32(g))
	}
	return a, nil
}

// keep leaves who is that user already with the groups that it has, where none were named and it
// may not change them: a container gave them. To become who one is needs no privilege.
func (a *Account) keep(p spec.Process) error {
	if strings.Contains(p.User, ":") || len(p.Groups) > 0 || sys.MaySetGroups() ||
		os.Getuid() != int(a.UID) || os.Geteuid() != int(a.UID) || os.Getgid() != os.Getegid() {
		return nil
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	a.GID, a.Groups = uint32(os.Getgid()), nil
	for _, g := range groups {
		a.Groups = append(a.Groups, uint32(g))
	}
	return nil
}

// LookupGroup reads the name or the number of a group.
func LookupGroup(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err == nil {
		name = g.Gid
	}
	gid, numErr := strconv.ParseUint(name, 10, 32)
	if numErr != nil {
		var unknown user.UnknownGroupError
		if errors.As(err, &unknown) {
			return 0, fmt.Errorf("group %q: no such group", name)
		}
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	return uint32(gid), nil
}

func lookupGroups(names []string) ([]uint32, error) {
	gids := make([]uint32, 0, len(names))
	for _, name := range names {
		gid, err := LookupGroup(name)
		if err != nil {
			return nil, err
		}
		gids = append(gids, gid)
	}
	return gids, nil
}
