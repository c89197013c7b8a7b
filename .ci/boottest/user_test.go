package boottest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// addUser adds an ordinary user whose manager is started at boot.
func (m *machine) addUser(name string) {
	m.t.Helper()
	out, err := exec.Command("chroot", m.root, "useradd", "--create-home", "--shell", "/bin/bash",
		name).CombinedOutput()
	if err != nil {
		m.t.Fatalf("useradd %s: %v: %s", name, err, out)
	}
	m.write("/var/lib/systemd/linger/"+name, "", 0o644) // what loginctl enable-linger makes
}

// as is a command of a user, with the environment of a login; of root if the
// name is empty.
func (m *machine) as(user string, argv ...string) []string {
	if user == "" {
		return argv
	}
	uid := strings.TrimSpace(m.run("id", "-u", user))
	return append([]string{"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups",
		"env", "HOME=/home/" + user, "USER=" + user, "LOGNAME=" + user,
		"XDG_RUNTIME_DIR=/run/user/" + uid}, argv...)
}

// TestUserLibrary: a program on package boot, installed by an ordinary user for
// themselves.
func TestUserLibrary(t *testing.T) {
	m := newMachine(t, systemdSystem)
	m.addUser("alice")
	const program = "/home/alice/bin/hello-web"
	root := openRoot(t, m.root)
	defer root.Close()
	copyFile(t, filepath.Join(dir, "service"), root, program)
	m.boot()
	verb := func(word string, want int) {
		t.Helper()
		if out, status := m.try(m.as("alice", program, word)...); status != want {
			t.Fatalf("boot %d: %s: status %d, want %d: %s", m.boots, word, status, want, out)
		}
	}
	verb("install", 0)
	verb("status", 0)
	m.reboot()
	m.wait("the service to be up after a reboot", func() bool {
		_, status := m.try(m.as("alice", program, "status")...)
		return status == 0
	})
	m.hello()
	verb("uninstall", 0)
	verb("status", 3)
	if left := m.left("hello-web.service"); left != "" {
		t.Errorf("uninstall leaves:\n%s", left)
	}
}
