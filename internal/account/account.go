// Package account reads who the users and groups of a machine are from passwd(5) and group(5), and
// says so where others know more than these files.
//
// Package os/user makes a static program dynamic where cgo is on, and without cgo takes somebody
// who is only in a directory (LDAP, Active Directory, NIS) for nobody.
//
// A line is read as glibc reads it (nss/nss_files/files-parse.c): blanks before it are not of it,
// empty ones and those that begin with "#" are comments, fields missing at the end are empty, and
// it is passed over if its numbers are none. Those of NIS, which begin with "+" or "-", are nobody.
// Of several that fit the first one counts. In three things this is stricter: a line is nobody's
// if it has no name; if a number does not fit, or is -1, which setresuid(2) takes for "as it is"
// and older versions of glibc make of what does not fit; and if there is a NUL in it, at which
// glibc takes it to end.
package account

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// User is somebody's line of passwd(5).
type User struct {
	Name     string
	UID, GID uint32
	Home     string // "/" if the field is empty
	Shell    string // "/bin/sh" if the field is empty
}

// Numeric is a user without a line.
func Numeric(uid uint32) *User {
	return &User{
		Name:  strconv.FormatUint(uint64(uid), 10),
		UID:   uid,
		Home:  standardHome,
		Shell: standardShell,
	}
}

const (
	standardHome  = "/"       // as login(1) has it
	standardShell = "/bin/sh" // passwd(5)
)

// Files are where accounts are.
type Files struct {
	Passwd, Group string
	Switch        string // nsswitch.conf(5), which names who else is to be asked
}

// System are the files of this machine.
func System() Files {
	return Files{Passwd: "/etc/passwd", Group: "/etc/group", Switch: "/etc/nsswitch.conf"}
}

// ByName finds a user by name, be it all digits. If there is none the error is an *UnknownError.
func (f Files) ByName(name string) (*User, error) {
	return f.user(name, func(u *User) bool { return u.Name == name })
}

// ByUID finds the first user with a number. If there is none the error is an *UnknownError.
func (f Files) ByUID(uid uint32) (*User, error) {
	return f.user(strconv.FormatUint(uint64(uid), 10), func(u *User) bool { return u.UID == uid })
}

func (f Files) user(who string, is func(*User) bool) (*User, error) {
	var found *User
	s := search{kind: "user", who: who, database: "passwd", file: f.Passwd, nsswitch: f.Switch}
	err := s.run(func(line string) (problem string, done bool) {
		u, problem := parseUser(line)
		if problem == "" && is(&u) {
			found = &u
		}
		return problem, found != nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// GroupByName finds the number of a group. If there is none the error is an *UnknownError.
func (f Files) GroupByName(name string) (uint32, error) {
	var gid uint32
	s := search{kind: "group", who: name, database: "group", file: f.Group, nsswitch: f.Switch}
	err := s.run(func(line string) (problem string, done bool) {
		g, problem := parseGroup(line)
		if gid = g.gid; problem != "" {
			return problem, false
		}
		return "", g.name == name
	})
	if err != nil {
		return 0, err
	}
	return gid, nil
}

// Groups are all the groups of a user, as initgroups(3) has them: the primary one first, then those
// of which the user is a member, each once, in the order of the file. What others than the file
// know of is not among them.
func (f Files) Groups(name string, primary uint32) ([]uint32, error) {
	gids, have := []uint32{primary}, map[uint32]bool{primary: true}
	err := eachLine(f.Group, func(_ int, line string) bool {
		g, problem := parseGroup(line)
		if problem == "" && !have[g.gid] && g.has(name) {
			gids, have[g.gid] = append(gids, g.gid), true
		}
		return true
	})
	if err = unlessMissing(err); err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", shown(name), err)
	}
	return gids, nil
}

// search is the search for one line.
type search struct {
	kind, who, database, file, nsswitch string
}

// run calls fits for each line until one is it, and returns nil then.
func (s *search) run(fits func(line string) (problem string, done bool)) error {
	if !haveFiles {
		return fmt.Errorf("%s %s: accounts on %s: %w", s.kind, shown(s.who), runtime.GOOS,
			errors.ErrUnsupported)
	}
	found, nis, malformed := false, 0, ""
	err := eachLine(s.file, func(n int, line string) bool {
		if line[0] == '+' || line[0] == '-' {
			nis = cmp.Or(nis, n)
			return true
		}
		problem, done := fits(line)
		name, _, _ := strings.Cut(line, ":")
		if problem != "" && name == s.who && name != "" && malformed == "" {
			malformed = fmt.Sprintf("%s, line %d: %s", s.file, n, problem)
		}
		found = done
		return !done
	})
	missing := isMissing(err)
	if err = unlessMissing(err); err != nil {
		return fmt.Errorf("%s %s: %w", s.kind, shown(s.who), err)
	}
	if found && nis == 0 {
		return nil
	}
	others, compat, err := sources(s.nsswitch, s.database)
	switch {
	case found && compat:
		return fmt.Errorf("%s %s: line %d of %s means NIS, which only the C library can ask: "+
			"give numbers (%s)", s.kind, shown(s.who), nis, s.file, whoKnows(s.kind, s.who))
	case found:
		return nil
	case err != nil:
		return fmt.Errorf("%s %s: not in %s, and who else knows: %w", s.kind, shown(s.who), s.file,
			err)
	case malformed != "":
		return fmt.Errorf("%s %s: %s", s.kind, shown(s.who), malformed)
	}
	return &UnknownError{
		Kind: s.kind, Who: s.who, File: s.file, Missing: missing, Others: others,
		NIS: compat && nis > 0,
	}
}

// UnknownError says that somebody is not in the files.
type UnknownError struct {
	Kind    string // "user" or "group"
	Who     string
	File    string   // where that would be
	Missing bool     // there is no such file
	Others  []string // who else would have to be asked, as nsswitch.conf(5) names them
	NIS     bool     // so would NIS, by the lines of the file that begin with "+" or "-"
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("%s %s: not in %s", e.Kind, shown(e.Who), e.File)
	if e.Missing {
		text = fmt.Sprintf("%s %s: there is no %s", e.Kind, shown(e.Who), e.File)
	}
	names := slices.Clone(e.Others)
	for i, name := range names {
		names[i] = shown(name)
	}
	switch {
	case runtime.GOOS == "darwin":
		text += ", and accounts are in Open Directory"
	case len(e.Others) > 0:
		text += ", and nsswitch.conf names " + strings.Join(names, ", ") + " as well"
	case e.NIS:
		text += ", which has lines that mean NIS"
	case e.Missing:
		return text + ": give numbers"
	default:
		return text
	}
	text += ", which only the C library can ask: give numbers"
	return text + " (" + whoKnows(e.Kind, e.Who) + ")"
}

// whoKnows is the command that asks everybody.
func whoKnows(kind, who string) string {
	if kind == "group" {
		return "getent group " + shown(who)
	}
	return "id " + shown(who)
}

// shown is a name as it is, if that is harmless on a line.
func shown(name string) string {
	q := strconv.QuoteToASCII(name)
	if name == "" || q[1:len(q)-1] != name || strings.ContainsAny(name, " :,()") {
		return q
	}
	return name
}

// parseUser reads a line of passwd(5), or says why it is none.
func parseUser(line string) (u User, problem string) {
	f := fields(line, 7)
	u = User{
		Name:  f[0],
		Home:  cmp.Or(f[5], standardHome),
		Shell: cmp.Or(f[6], standardShell),
	}
	var uid, gid string
	u.UID, uid = parseID("uid", f[2])
	u.GID, gid = parseID("gid", f[3])
	return u, cmp.Or(strange(line), uid, gid)
}

// group is a line of group(5).
type group struct {
	name    string
	gid     uint32
	members string
}

// parseGroup reads a line of group(5), or says why it is none.
func parseGroup(line string) (g group, problem string) {
	f := fields(line, 4)
	g = group{name: f[0], members: f[3]}
	g.gid, problem = parseID("gid", f[2])
	return g, cmp.Or(strange(line), problem)
}

// has says whether somebody is a member.
func (g *group) has(name string) bool {
	for m := range strings.SplitSeq(g.members, ",") {
		if name != "" && strings.TrimLeft(m, blanks) == name {
			return true
		}
	}
	return false
}

// fields are the first n fields of a line. The last one may have colons in it, as in glibc.
func fields(line string, n int) []string {
	f := strings.SplitN(line, ":", n)
	return append(f, slices.Repeat([]string{""}, n-len(f))...)
}

// strange says why a line is nobody's, whatever its numbers are.
func strange(line string) string {
	switch {
	case line == "" || line[0] == ':':
		return "no name"
	case line[0] == '+' || line[0] == '-':
		return "a line of NIS"
	case strings.Contains(line, "\x00"):
		return "a NUL in it"
	}
	return ""
}

// parseID reads a number as strtoul(3) does, but none that does not fit.
func parseID(what, text string) (id uint32, problem string) {
	const none = 1<<32 - 1
	digits := strings.TrimPrefix(strings.TrimLeft(text, blanks), "+")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == none {
		return 0, fmt.Sprintf("%s %.40q is not a number below %d", what, text, uint32(none))
	}
	return uint32(n), ""
}
