package daemonry_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
)

// become is a program that becomes a daemon as the user that is its first argument, with its
// second as home, and, with a third, in that as its whole environment.
var become = proctest.Register("become", func(args []string) int {
	u, err := daemonry.LookupUser(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	numbers := &daemonry.User{UID: u.UID, GID: u.GID, Groups: u.Groups, Home: args[1]}
	o := daemonry.Options{User: numbers, Background: true}
	if len(args) > 2 {
		o.Env = args[2:]
	}
	proc, err := daemonry.Detach(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if proc != nil {
		fmt.Println(proc.PID)
		return 0
	}
	return daemonMain("serve")
})

// TestEnvironmentFollowsTheUser starts daemons as another user.
func TestEnvironmentFollowsTheUser(t *testing.T) {
	if os.Getuid() != 0 {
		_, _, stderr, status := run(t, become.Command(t, "root", ""))
		if status != 1 || !strings.Contains(stderr, "operation not permitted") {
			t.Errorf("status %d, stderr %q", status, stderr)
		}
		return
	}
	passwd, err := exec.Command("getent", "passwd", "nobody").Output()
	line := strings.Split(strings.TrimSpace(string(passwd)), ":")
	if err != nil || len(line) != 7 {
		t.Fatal(string(passwd), err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"nobody", ""}, []string{"HOME=" + line[5], "SHELL=" + line[6], "USER=nobody",
			"LOGNAME=nobody", "KEPT=1"}},
		{[]string{line[2], "/srv"}, []string{"HOME=/srv", "USER=nobody", "LOGNAME=nobody"}},
		{[]string{"nobody", "", "HOME=/mine"}, []string{"HOME=/mine"}},
	} {
		cmd := become.Command(t, c.args...)
		cmd.Env = append(cmd.Environ(), "HOME=/root", "USER=root", "LOGNAME=root", "KEPT=1",
			"SHELL=/bin/root")
		pid, _, stderr, status := run(t, cmd)
		if pid == 0 {
			t.Fatalf("%v: status %d, %s", c.args, status, stderr)
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			t.Fatal(err)
		}
		env := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		for _, want := range c.want {
			name, _, _ := strings.Cut(want, "=")
			same := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
				return !strings.HasPrefix(kv, name+"=")
			})
			if !slices.Equal(same, []string{want}) {
				t.Errorf("%v: %q, want %s", c.args, same, want)
			}
		}
		if len(c.args) > 2 && !slices.Equal(env, c.args[2:]) {
			t.Errorf("%v: %q", c.args, env)
		}
	}
}

// TestLookupUser compares with the C library, which id(1) asks.
func TestLookupUser(t *testing.T) {
	for _, name := range []string{"root", "nobody", "daemon"} {
		u, err := daemonry.LookupUser(name)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{fmt.Sprint(u.UID), fmt.Sprint(u.GID)}
		for _, g := range u.Groups {
			ids = append(ids, fmt.Sprint(g))
		}
		out, err := exec.Command("sh", "-c", "id -u $0; id -g $0; id -G $0", name).Output()
		if got := strings.Join(ids, " "); err != nil ||
			got != strings.Join(strings.Fields(string(out)), " ") {
			t.Errorf("%s: %s, id(1) says %s %v", name, got, out, err)
		}
		same, err := daemonry.LookupUser(strconv.Itoa(int(u.UID)))
		if err != nil || same.Name != name || same.Home != u.Home || same.Shell != u.Shell {
			t.Errorf("%+v %v, want %+v", same, err, u)
		}
	}
	for _, name := range []string{"no-such-user", "", "-1", "4294967295", "4294967296", "root:x"} {
		u, err := daemonry.LookupUser(name)
		if u != nil || err == nil || !strings.Contains(err.Error(), "not in /etc/passwd") {
			t.Errorf("%q: %+v %v", name, u, err)
		}
	}
}

func ExampleLookupUser() {
	u, err := daemonry.LookupUser("nobody")
	if err != nil {
		daemonry.Fail(err)
	}
	u.Home = "/var/lib/app" // what the daemon finds in HOME

	proc, err := daemonry.Detach(context.Background(), daemonry.Options{
		PIDFile: "/run/app.pid",
		User:    u,
	})
	if err != nil {
		daemonry.Fail(err)
	}
	if proc != nil {
		return // the launcher
	}
	defer daemonry.Release()
}
