package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// privileges judges who the process is. To have been root is nothing bad when
// nobody asked for another user; to be another user with a way back is.
func (f *facts) privileges() finding {
	st := f.status
	who := f.identity()
	switch {
	case !same(st.UID):
		return failf("%s: it can become the other user", who)
	case !same(st.GID):
		return failf("%s: it can become the other group", who)
	}
	if found := f.asRequested(who); found != nil {
		return *found
	}
	switch {
	case st.UID[0] == 0 && f.options.User == nil:
		return passf("%s; no other user was asked for", who)
	case st.UID[0] == 0:
		return passf("%s, as asked for", who)
	case st.GID[0] == 0:
		return failf("%s: the group of root was kept", who)
	case slices.Contains(st.Groups, 0):
		return failf("%s: the supplementary groups of root were kept", who)
	case st.CapPrm&(1<<capSetuid) != 0:
		return failf("%s: with CAP_SETUID it can become root again", who)
	}
	return passf("%s", who)
}

// asRequested compares with Options.User; nil means nothing to object.
func (f *facts) asRequested(who string) *finding {
	want := f.options.User
	if want == nil {
		return nil
	}
	have := f.status
	wrong := ""
	switch {
	case have.UID[0] != want.UID:
		wrong = fmt.Sprintf("uid %d was asked for", want.UID)
	case have.GID[0] != want.GID:
		wrong = fmt.Sprintf("gid %d was asked for", want.GID)
	case want.Groups != nil && !sameGroups(have, *want):
		wrong = fmt.Sprintf("groups %v were asked for", want.Groups)
	default:
		return nil
	}
	found := failf("%s, but %s", who, wrong)
	return &found
}

// sameGroups ignores order, repetition, and the primary group: initgroups(3)
// puts it into the list, setgroups(2) need not.
func sameGroups(have sys.ProcStatus, want sys.Credential) bool {
	set := func(groups []uint32, primary uint32) []uint32 {
		all := append(slices.Clone(groups), primary)
		return slices.Compact(slices.Sorted(slices.Values(all)))
	}
	return slices.Equal(set(have.Groups, have.GID[0]), set(want.Groups, want.GID))
}

func same(ids [4]uint32) bool { return ids == [4]uint32{ids[0], ids[0], ids[0], ids[0]} }

// identity sums up the credentials: "uid 33, gid 33, groups 33, no capabilities, no_new_privs".
func (f *facts) identity() string {
	st := f.status
	ids := func(what string, ids [4]uint32) string {
		if same(ids) {
			return fmt.Sprintf("%s %d", what, ids[0])
		}
		return fmt.Sprintf("%s %d, effective %d, saved %d, file system %d",
			what, ids[0], ids[1], ids[2], ids[3])
	}
	parts := []string{
		ids("uid", st.UID), ids("gid", st.GID), "no supplementary groups", capabilities(st),
	}
	if len(st.Groups) > 0 {
		parts[2] = "groups " + strings.Trim(fmt.Sprint(st.Groups), "[]")
	}
	if st.NoNew == sys.NoNewPrivsOn {
		parts = append(parts, "no_new_privs")
	}
	return strings.Join(parts, ", ")
}

// capSetuid is the capability to change to any user (capabilities(7)).
const capSetuid = 7

func capabilities(st sys.ProcStatus) string {
	switch {
	case st.CapPrm == 0:
		return "no capabilities"
	case st.CapPrm == st.CapBnd:
		return fmt.Sprintf("all capabilities of its bounding set (%x)", uint64(st.CapBnd))
	}
	return fmt.Sprintf("capabilities %x", uint64(st.CapPrm))
}
