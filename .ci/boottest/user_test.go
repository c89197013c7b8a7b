package boottest

import (
	"os/exec"
	"strings"
)

// addUser adds an ordinary user whose manager is started at boot.
func (m *machine) addUser(name string) {
	m.t.Helper()
	if out, err := exec.Command("chroot", m.root, "useradd", "--create-home", "--shell", "/bin/bash", name).CombinedOutput(); err != nil {
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
		"env", "HOME=/home/" + user, "USER=" + user, "LOGNAME=" + user, "XDG_RUNTIME_DIR=/run/user/" + uid}, argv...)
}
