package cli

import (
	"os"
	"slices"
	"strings"
)

// ofSession are variables that belong to a login, a terminal or a shell, and mean nothing to a
// service that outlives it. A trailing "*" stands for any rest of the name. docs/service.md has the
// list.
var ofSession = []string{
	"PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES", "PS1", "PS2", "PS3", "PS4", "PROMPT_COMMAND",
	"BASH_FUNC_*", "HISTFILE",
	"TERM", "TERMCAP", "COLORTERM", "TERM_*", "VTE_VERSION", "KONSOLE_*", "GNOME_TERMINAL_*",
	"KITTY_*", "WEZTERM_*", "ALACRITTY_*",
	"ITERM_*", "LC_TERMINAL*", "WT_*", "VSCODE_*", "TMUX*", "STY", "WINDOW", "WINDOWID",
	"INSIDE_EMACS",
	"SSH_*", "GPG_AGENT_INFO", "GPG_TTY", "GNOME_KEYRING_*", "KRB5CCNAME", "MAIL",
	"DISPLAY", "WAYLAND_*", "XAUTHORITY", "SESSION_MANAGER", "DESKTOP_*", "DBUS_SESSION_*",
	"GDMSESSION", "GNOME_DESKTOP_*",
	"XDG_SESSION_*", "XDG_SEAT*", "XDG_VTNR", "XDG_CURRENT_DESKTOP", "XDG_ACTIVATION_TOKEN",
	"SUDO_*", "DOAS_USER", "PKEXEC_UID", "XPC_*", "SECURITYSESSIONID",
}

// environ is our environment for services, as ApplyRequest has it. A "run" is in the session of its
// services, which keep all of it.
func environ(session bool) []byte {
	b := []byte{} // never nil: an empty one is one, too
	for _, kv := range outsideOfServices(os.Environ()) {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || name == "" || !session && slices.ContainsFunc(ofSession,
			func(s string) bool { return matches(s, name) }) {
			continue
		}
		b = append(append(b, kv...), 0)
	}
	return b
}

func matches(pattern, name string) bool {
	prefix, any := strings.CutSuffix(pattern, "*")
	return pattern == name || any && strings.HasPrefix(name, prefix)
}

// ofSupervisor are the variables that a supervisor needs which is born by a command: where things
// are, and who it is. It has no others, whoever starts it. What Go's own tools look at is for
// tests.
var ofSupervisor = []string{
	"HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "DAEMONRY_ROOT", "XDG_RUNTIME_DIR",
	"XDG_STATE_HOME", "XDG_CONFIG_HOME",
	"GOCOVERDIR", "GORACE", "GOTRACEBACK",
}

// supervisorPath is where a supervisor looks for programs. Services look in the PATH of their own
// environment.
const supervisorPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func supervisorEnviron() []string {
	env := []string{"PATH=" + supervisorPath}
	for _, name := range ofSupervisor {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
