package launch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/account"
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
	files := account.System()
	u, err := files.ByName(name)
	if unknown, ok := errors.AsType[*account.UnknownError](err); ok {
		uid, bad := strconv.ParseUint(name, 10, 32)
		if bad != nil {
			return nil, noSuch(unknown)
		}
		u, err = files.ByUID(uint32(uid))
		if unknown, ok := errors.AsType[*account.UnknownError](err); ok {
			return numericAccount(uint32(uid), hasGroup, unknown)
		}
	}
	if err != nil {
		return nil, err
	}
	groups, err := files.Groups(u.Name, u.GID)
	if err != nil {
		return nil, err
	}
	return accountOf(u, groups), nil
}

// numericAccount is a uid that the user database does not know.
func numericAccount(uid uint32, hasGroup bool, unknown *account.UnknownError) (*Account, error) {
	if !hasGroup {
		return nil, fmt.Errorf("user %q: not in the user database, so it needs a group: %s:GROUP",
			unknown.Who, unknown.Who)
	}
	return accountOf(account.Numeric(uid), nil), nil
}

func accountOf(u *account.User, groups []uint32) *Account {
	return &Account{
		Credential: sys.Credential{UID: u.UID, GID: u.GID, Groups: groups},
		Name:       u.Name,
		Home:       u.Home,
		Shell:      u.Shell,
	}
}

// noSuch says that there is nobody of that name, or who would have to be asked to know. Systemd is
// not worth the words: it is asked everywhere, and what it alone knows are users that it makes for
// its own services (nss-systemd(8)).
func noSuch(unknown *account.UnknownError) error {
	others := slices.DeleteFunc(slices.Clone(unknown.Others),
		func(other string) bool { return other == "systemd" })
	if len(others) > 0 || unknown.NIS || unknown.Missing {
		return unknown
	}
	return fmt.Errorf("%s %q: no such %s", unknown.Kind, unknown.Who, unknown.Kind)
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
	gid, err := account.System().GroupByName(name)
	if unknown, ok := errors.AsType[*account.UnknownError](err); ok {
		n, bad := strconv.ParseUint(name, 10, 32)
		if bad != nil {
			return 0, noSuch(unknown)
		}
		return uint32(n), nil
	}
	return gid, err
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
