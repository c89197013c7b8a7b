package daemonry

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/account"
)

func TestUserEnvironment(t *testing.T) {
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(passwd,
		[]byte("alice:x:1000:1000::/home/alice:/bin/zsh\nbare:x:1001:1::::\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	env := []string{"HOME=/root", "PATH=/p", "USER=root", "LOGNAME=root", "SHELL=/bin/sh",
		"HOMEWARD=kept", "HOME=/again", "LANG=C"}
	for _, c := range []struct {
		user User
		file string
		want string
	}{
		{User{UID: 1000}, passwd, "HOME=/home/alice SHELL=/bin/zsh USER=alice LOGNAME=alice"},
		{User{UID: 1001}, passwd, "HOME=/ SHELL=: USER=bare LOGNAME=bare"},
		{User{UID: 7}, passwd, "HOME=/ SHELL=/bin/sh USER=7 LOGNAME=7"},
		{User{UID: 1000}, none, "HOME=/ SHELL=/bin/sh USER=1000 LOGNAME=1000"},
		{User{UID: 1000, Home: "/srv"}, passwd,
			"HOME=/srv SHELL=/bin/zsh USER=alice LOGNAME=alice"},
		{User{UID: 1000, Name: "al", Shell: "/bin/no"}, passwd,
			"HOME=/home/alice SHELL=/bin/no USER=al LOGNAME=al"},
		// nothing is looked up, where that would fail
		{User{UID: 1000, Name: "n", Home: "/h", Shell: "/s"}, filepath.Dir(passwd),
			"HOME=/h SHELL=/s USER=n LOGNAME=n"},
	} {
		got, err := c.user.environment(slices.Clone(env),
			account.Files{Passwd: c.file, Switch: none})
		want := append([]string{"PATH=/p", "HOMEWARD=kept", "LANG=C"}, strings.Fields(c.want)...)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v: %q %v, want %q", c.user, got, err, want)
		}
	}
	unreadable := account.Files{Passwd: filepath.Dir(passwd), Switch: none}
	if env, err := (&User{UID: 1000}).environment(env, unreadable); err == nil {
		t.Errorf("a file that cannot be read: %q", env)
	}
}
