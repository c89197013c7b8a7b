package shell

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// Become returns the tools that give the program its priority, its root and its
// user, in this order, for a script that runs as root on Linux. setpriv(1) of
// util-linux alone can do all of it: initgroups(3), no_new_privs, capabilities.
func Become(a *writers.Account) []string {
	a.Use("nice", "user", "groups", "no_new_privs", "cap", "chroot", "chdir")
	var tools []string
	if a.Nice != nil {
		tools = append(tools, fmt.Sprintf("nice -n %d", *a.Nice))
	}
	if a.Chroot != "" {
		tools = append(tools, "chroot "+Quote(a.Chroot))
		a.Note("chroot",
			"the tools behind it, setpriv and env, must exist inside it if the service needs them")
		a.NoteIf(a.Chdir != "/",
			"chdir", "is / inside chroot: the script has no tool that changes both")
	}
	var options []string
	if user, group := a.UserGroup(); user != "" {
		options = append(options, "--reuid="+Quote(user))
		switch {
		case group != "":
			options = append(options, "--regid="+Quote(group))
		default:
			options = append(options, `--regid="$(id -g `+Quote(user)+`)"`)
		}
		if len(a.Groups) == 0 {
			options = append(options, "--init-groups")
		}
	}
	if len(a.Groups) > 0 {
		options = append(options, "--groups="+Quote(strings.Join(a.Groups, ",")))
	}
	if a.NoNewPrivs {
		options = append(options, "--no-new-privs")
	}
	if a.Cap != nil {
		set := "-all"
		for _, name := range a.Cap {
			set += ",+" + name
		}
		options = append(options, "--bounding-set="+set, "--inh-caps="+set, "--ambient-caps="+set)
	}
	if len(options) > 0 {
		tools = append(tools, "setpriv "+strings.Join(options, " ")+" --")
	}
	return tools
}

// Run returns the lines of a script that becomes the program, run as root on
// Linux: the whole of what the fields of spec.Process say. more are tools that
// the target puts right before the program.
func Run(a *writers.Account, more ...string) []string {
	a.Use("command", "umask", "oom_score")
	lines := []string{"set -e"}
	lines = append(lines, Clear(a)...)
	lines = append(lines, Streams(a)...)
	if a.Chroot == "" {
		lines = append(lines, "cd "+Quote(a.Chdir))
	}
	lines = append(lines, "umask "+a.Umask.String())
	lines = append(lines, Limits(a)...)
	if a.OOMScore != nil {
		lines = append(lines, fmt.Sprintf("echo %d >/proc/self/oom_score_adj", *a.OOMScore))
	}
	exports, words := Environment(a)
	lines = append(lines, exports...)
	return append(lines, Exec(a.Command, words, append(Become(a), more...)...))
}

// Body is [Run] as one text for "sh -c". Such a script cannot start itself once
// more in an empty environment, so that is noted.
func Body(a *writers.Account) string {
	if a.ClearEnv {
		a.ClearEnv = false
		a.Note("clear_env", "left out: the program has the environment of the manager")
		a.NoteIf(len(a.PassEnv) > 0,
			"pass_env", "means nothing without clear_env: %s", strings.Join(a.PassEnv, " "))
	}
	return strings.Join(Run(a), "\n")
}

// Mode is the permission of a script: what has an environment in it is nobody
// else's to read.
func Mode(a *writers.Account) fs.FileMode {
	if len(a.Env) > 0 {
		return 0o700
	}
	return 0o755
}
