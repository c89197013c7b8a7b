package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// files makes the three files; "-" is one that is not there.
func files(t testing.TB, passwd, group, nsswitch string) Files {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if text != "-" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	return Files{write("passwd", passwd), write("group", group), write("nsswitch.conf", nsswitch)}
}

const passwd = `root:x:0:0:root:/root:/bin/bash
# alice:x:7:7::/commented:/bin/sh
  indented:x:11:12::/home/indented:/bin/sh

nohome:x:13:14:::
short:x:15:16
name:with:no:numbers:in:it:
alice:x:1000:1001:Alice,,,:/home/alice:/bin/zsh
alice:x:2000:2001::/second:/bin/second
twin:x:1000:9::/twin:/bin/sh
1000:x:1002:1003::/digits:/bin/sh
:x:17:17::/nobody:/bin/sh
big:x:4294967296:1::/:/bin/sh
minus:x:-1:1::/:/bin/sh
nochange:x:1:4294967295::/:/bin/sh
most:x:4294967294:4294967294::/:/bin/sh
plus:x: +18:19::/plus:/bin/sh
late:x:nonsense:1::/:/bin/sh
late:x:20:21::/late:/bin/late
colon:x:22:23::/colon:/bin/sh:more
cr:x:24:25::/cr:/bin/sh` + "\r\n" + `+nis:x:26:27::/nis:/bin/sh
-gone
last:x:28:29::/last:/bin/last`

func TestUser(t *testing.T) {
	f := files(t, passwd+"\nnul\x00:x:30:31::/:/bin/sh\nnul2:x:32:33:\x00:/h:/bin/sh\n", "", "-")
	for _, c := range []struct {
		name string
		want User
		err  string // its end
	}{
		{"root", User{"root", 0, 0, "/root", "/bin/bash"}, ""},
		{"indented", User{"indented", 11, 12, "/home/indented", "/bin/sh"}, ""},
		{"nohome", User{"nohome", 13, 14, "/", "/bin/sh"}, ""},
		{"short", User{"short", 15, 16, "/", "/bin/sh"}, ""},
		{"alice", User{"alice", 1000, 1001, "/home/alice", "/bin/zsh"}, ""},
		{"1000", User{"1000", 1002, 1003, "/digits", "/bin/sh"}, ""},
		{"most", User{"most", 4294967294, 4294967294, "/", "/bin/sh"}, ""},
		{"plus", User{"plus", 18, 19, "/plus", "/bin/sh"}, ""},
		{"late", User{"late", 20, 21, "/late", "/bin/late"}, ""},
		{"colon", User{"colon", 22, 23, "/colon", "/bin/sh:more"}, ""},
		{"cr", User{"cr", 24, 25, "/cr", "/bin/sh\r"}, ""},
		{"last", User{"last", 28, 29, "/last", "/bin/last"}, ""},
		{"name", User{}, `line 7: uid "no" is not a number below 4294967295`},
		{"big", User{}, `line 13: uid "4294967296" is not a number below 4294967295`},
		{"minus", User{}, `line 14: uid "-1" is not a number below 4294967295`},
		{"nochange", User{}, `line 15: gid "4294967295" is not a number below 4294967295`},
		{"nul2", User{}, `line 26: a NUL in it`},
		{"nul", User{}, "not in " + f.Passwd},
		{"", User{}, `user "": not in ` + f.Passwd},
		{"+nis", User{}, "user +nis: not in " + f.Passwd},
		{"-gone", User{}, "not in " + f.Passwd},
		{"# alice", User{}, `user "# alice": not in ` + f.Passwd},
		{"  indented", User{}, "not in " + f.Passwd},
		{"alice:x", User{}, `user "alice:x": not in ` + f.Passwd},
		{"a\nb", User{}, `user "a\nb": not in ` + f.Passwd},
	} {
		u, err := f.ByName(c.name)
		switch {
		case c.err == "" && (err != nil || *u != c.want):
			t.Errorf("%q: %+v %v, want %+v", c.name, u, err, c.want)
		case c.err != "" && (u != nil || err == nil || !endsWith(err, c.err)):
			t.Errorf("%q: %+v %v, want %q", c.name, u, err, c.err)
		}
	}
	for uid, want := range map[uint32]string{0: "root", 1000: "alice", 1002: "1000", 20: "late"} {
		if u, err := f.ByUID(uid); err != nil || u.Name != want || u.UID != uid {
			t.Errorf("%d: %+v %v, want %s", uid, u, err, want)
		}
	}
	for _, uid := range []uint32{17, 26, 30, 1<<32 - 1} {
		u, err := f.ByUID(uid)
		if _, unknown := errors.AsType[*UnknownError](err); u != nil || !unknown {
			t.Errorf("%d: %+v %v", uid, u, err)
		}
	}
}

// endsWith allows for what is added on systems whose accounts are elsewhere.
func endsWith(err error, end string) bool {
	text, _, _ := strings.Cut(err.Error(), ", and accounts are in Open Directory")
	text, _, _ = strings.Cut(text, ", which has lines that mean NIS") // where that is the rule
	return strings.HasSuffix(text, end)
}

func TestGroups(t *testing.T) {
	f := files(t, passwd, `root:x:0:
adm:*:4:syslog,alice
# web:x:5:alice
web:x:33:bob, alice,carol
first:x:33:alice
users:x:1001:alice
,bad:x:alice:alice
odd:x:50:,,alice,
trailing:x:51:alice ,bob
+nis:x:52:alice
big:x:4294967296:alice
long:x:53:bob:alice
none:x:54
adm:x:55:alice`, "-")
	got, err := f.Groups("alice", 1001)
	if want := []uint32{1001, 4, 33, 50, 55}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	for _, name := range []string{"nobody-is-in-it", "", "alice ", "bob:alice"} {
		got, err := f.Groups(name, 7)
		want := []uint32{7}
		if name == "alice " {
			want = append(want, 51)
		}
		if name == "bob:alice" {
			want = append(want, 53)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v, want %v", name, got, err, want)
		}
	}
	for name, want := range map[string]uint32{"root": 0, "adm": 4, "first": 33, "none": 54} {
		if gid, err := f.GroupByName(name); err != nil || gid != want {
			t.Errorf("%s: %d %v, want %d", name, gid, err, want)
		}
	}
	for _, name := range []string{"# web", "+nis", "", "33"} {
		if gid, err := f.GroupByName(name); err == nil {
			t.Errorf("%q: %d", name, gid)
		}
	}
	if _, err := f.GroupByName("big"); err == nil || !strings.HasSuffix(err.Error(),
		`line 11: gid "4294967296" is not a number below 4294967295`) {
		t.Error(err)
	}
}

// TestOthers has a user that is not in the file, on machines of many kinds.
func TestOthers(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("accounts are in Open Directory here, whatever nsswitch.conf says")
	}
	const only = ", which only the C library can ask: give numbers (id bob)"
	for _, c := range []struct{ passwd, nsswitch, want string }{
		{"a:x:1:1::/:\n", "passwd: files\n", ""},
		{"a:x:1:1::/:\n", "# passwd: sss\ngroup: sss\npasswd_x: sss\n passwd : files # sss\n", ""},
		{"a:x:1:1::/:\n", "passwd: files sss\n", ", and nsswitch.conf names sss as well" + only},
		{"a:x:1:1::/:\n", "passwd:\tsss files\nshadow: files",
			", and nsswitch.conf names sss as well" + only},
		{
			"a:x:1:1::/:\n",
			"passwd: files [NOTFOUND=continue X=return] ldap [ !UNAVAIL = return ] winbind ldap",
			", and nsswitch.conf names ldap, winbind as well" + only,
		},
		{"a:x:1:1::/:\n", "passwd: files [sss\n", ""},
		{"+\n", "passwd: files\n", ""},
		{"+\n", "passwd: compat\n", ", which has lines that mean NIS" + only},
		{"a:x:1:1::/:\n", "passwd: compat\n", ""},
	} {
		f := files(t, c.passwd, "", c.nsswitch)
		_, err := f.ByName("bob")
		if want := "user bob: not in " + f.Passwd + c.want; err == nil || err.Error() != want {
			t.Errorf("%q, %q:\n%v\n%s", c.passwd, c.nsswitch, err, want)
		}
	}
	f := files(t, "bob:x:1:1::/:\n-bob\n", "", "passwd: compat sss\n")
	if _, err := f.ByName("bob"); err != nil {
		t.Errorf("before the lines of NIS: %v", err)
	}
	f = files(t, "-bob\nbob:x:1:1::/:\n", "", "passwd: compat\n")
	want := "user bob: line 1 of " + f.Passwd +
		" means NIS, which only the C library can ask: give numbers (id bob)"
	if u, err := f.ByName("bob"); u != nil || err == nil || err.Error() != want {
		t.Errorf("after a line of NIS: %v, %v", u, err)
	}
	f = files(t, "", "", "group: files ldap\n")
	want = "group web: not in " + f.Group + ", and nsswitch.conf names ldap as well, which only " +
		"the C library can ask: give numbers (getent group web)"
	if _, err := f.GroupByName("web"); err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestWithoutFiles(t *testing.T) {
	f := files(t, "-", "-", "-")
	_, err := f.ByUID(7)
	if e, ok := errors.AsType[*UnknownError](err); !ok || !e.Missing ||
		!strings.HasPrefix(err.Error(), "user 7: there is no "+f.Passwd) {
		t.Error(err)
	}
	if gids, err := f.Groups("alice", 7); err != nil || !slices.Equal(gids, []uint32{7}) {
		t.Error(gids, err)
	}
	f.Passwd, f.Group = t.TempDir(), t.TempDir() // which cannot be read
	for _, err := range []error{second(f.ByName("a")), second(f.GroupByName("a")),
		second(f.Groups("a", 1))} {
		if _, unknown := errors.AsType[*UnknownError](err); err == nil || unknown {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestGreatFiles has more lines than one would keep, and a line that is longer than any.
func TestGreatFiles(t *testing.T) {
	var passwd, group strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&passwd, "user%d:x:%d:%d::/home/user%d:/bin/sh\n", i, i, i, i)
		fmt.Fprintf(&group, "group%d:x:%d:alice\n", i, i%50_000)
	}
	f := files(t, passwd.String(), group.String(), "-")
	if u, err := f.ByName("user99999"); err != nil || u.UID != 99999 {
		t.Error(u, err)
	}
	if gids, err := f.Groups("alice", 3); err != nil || len(gids) != 50_000 {
		t.Error(len(gids), err)
	}
	members := strings.Repeat("somebody,", maxLine/10)
	f = files(t, "", "all:x:1:"+members+"alice\n", "-")
	if gids, err := f.Groups("alice", 3); err != nil || !slices.Equal(gids, []uint32{3, 1}) {
		t.Error(gids, err)
	}
	f = files(t, "a:x:1:1\n"+strings.Repeat("x", maxLine+1)+"\nb:x:2:2\n", "", "-")
	if u, err := f.ByName("a"); err != nil || u.UID != 1 {
		t.Error(u, err)
	}
	want := fmt.Sprintf("user b: %s, line 2: longer than %d bytes", f.Passwd, maxLine)
	if _, err := f.ByName("b"); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
