package account

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// FuzzPasswd looks for everybody who could be meant by a file: whoever is found has a name and
// numbers that a process can have, and is found by both.
func FuzzPasswd(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, nsswitch string) {
		files := files(t, text, "-", nsswitch)
		for line := range strings.SplitSeq(text, "\n") {
			name, _, _ := strings.Cut(strings.TrimLeft(line, blanks), ":")
			u, err := files.ByName(name)
			if err != nil {
				oneLine(t, err)
				continue
			}
			if u.Name != name || name == "" || strings.ContainsAny(name[:1], "+-#") ||
				u.UID == 1<<32-1 || u.GID == 1<<32-1 || u.Home == "" || u.Shell == "" ||
				strings.Contains(u.Home+u.Shell, "\x00") {
				t.Errorf("%q: %+v", name, u)
			}
			if same, err := files.ByUID(u.UID); err != nil || same.UID != u.UID {
				t.Errorf("%q has number %d, which has %+v %v", name, u.UID, same, err)
			}
		}
	})
}

// FuzzGroup looks for every group of a file, and for those of its members.
func FuzzGroup(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, member string) {
		files := files(t, "-", text, "-")
		gids, err := files.Groups(member, 77)
		if err != nil {
			oneLine(t, err)
			return
		}
		if gids[0] != 77 || slices.Contains(gids, 1<<32-1) || len(gids) > 1 && member == "" {
			t.Errorf("%q: %v", member, gids)
		}
		slices.Sort(gids)
		if len(slices.Compact(slices.Clone(gids))) != len(gids) {
			t.Errorf("%q: one twice in %v", member, gids)
		}
		for line := range strings.SplitSeq(text, "\n") {
			name, _, _ := strings.Cut(strings.TrimLeft(line, blanks), ":")
			if gid, err := files.GroupByName(name); err != nil {
				oneLine(t, err)
			} else if name == "" || gid == 1<<32-1 {
				t.Errorf("%q: %d", name, gid)
			}
		}
	})
}

// FuzzSwitch reads what may be in nsswitch.conf: the sources are words of it.
func FuzzSwitch(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		others, _, err := sources(files(t, "-", "-", text).Switch, "passwd")
		if err != nil {
			oneLine(t, err)
		}
		for _, o := range others {
			if o == "" || o == "files" || strings.ContainsAny(o, " \t\n[#") ||
				!strings.Contains(text, o) {
				t.Errorf("%q: %q", text, o)
			}
		}
	})
}

func oneLine(t *testing.T, err error) {
	t.Helper()
	if _, unknown := errors.AsType[*UnknownError](err); strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("%q (%v)", err, unknown)
	}
}
