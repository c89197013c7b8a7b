// Package freebsd writes rc.d scripts for FreeBSD, where daemon(8) keeps the program running.
package freebsd

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/shell"
	"github.com/daemonry/daemonry/spec"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "freebsd",
		About:   "rc.d scripts for FreeBSD 13 and later",
		Dir:     "/usr/local/etc/rc.d",
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"ready":    "the service is up as soon as daemon(8) has started it",
	"timeout":  "left out: there is nothing that is waited for",
	"liveness": "left out: daemon(8) asks nobody",
	"success":  "left out: daemon(8) restarts after every end",
	"backoff": "daemon(8) waits the same time before every restart: that of backoff.first, in " +
		"whole seconds",
	"budget":   "left out: daemon(8) restarts without a limit",
	"log":      "left out: the output goes to a file as it is; newsyslog(8) can rotate it",
	"sandbox":  "left out: give the service a jail(8)",
	"limits":   "left out: see rctl(8)",
	"orphan":   "left out",
	"schedule": "left out: write it into crontab(5)",
}

// render writes one script. Names of rc.conf(5) variables are identifiers.
func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	name := identifier(a.Name)
	s := shell.NewScript("/bin/sh")
	a.Use("after", "requires", "wants", "autostart", "description", "command", "umask",
		"pidfile", "type")
	s.Line("# PROVIDE: %s", name)
	require := []string{"LOGIN"}
	for _, list := range []struct {
		field string
		names []string
	}{{"requires", a.Requires}, {"wants", a.Wants}, {"after", a.After}} {
		for _, other := range list.names {
			require = append(require, identifier(other))
		}
		a.NoteIf(len(list.names) > 0 && list.field != "after",
			list.field, "is ordered at boot; starting by hand starts no other service")
	}
	s.Line("# REQUIRE: %s", strings.Join(require, " "))
	s.Line("# KEYWORD: shutdown")
	s.Line("")
	s.Line(". /etc/rc.subr")
	s.Line("name=%s", name)
	if a.Description != "" {
		s.Line("desc=%s", shell.Quote(a.Description))
	}
	s.Line("rcvar=%s_enable", name)
	s.Line("load_rc_config $name")
	s.Line(": ${%s_enable:=%s}", name, map[bool]string{true: "YES", false: "NO"}[*a.Autostart])
	pidfile := cmp.Or(a.Pidfile, "/var/run/"+a.Name+".pid")
	// pidfile is of the supervisor, which passes on TERM alone; the program's
	// own is for other signals.
	s.Line("pidfile=%s", shell.Quote(pidfile+".daemon"))
	s.Line("childfile=%s", shell.Quote(pidfile))
	s.Line("procname=/usr/sbin/daemon")
	s.Line("start_cmd=service_start")
	s.Line("stop_cmd=service_stop")
	reload(a, s)
	start(a, s)
	stop(a, s)
	s.Line("")
	s.Line(`run_rc_command "$1"`)
	return []writers.File{{Path: name, Mode: shell.Mode(a), Content: s.Bytes()}}, nil
}

func identifier(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.@", r) {
			return '_'
		}
		return r
	}, name)
}

func start(a *writers.Account, s *shell.Script) {
	a.Use("user", "restart", "backoff.first", "chdir", "nice")
	s.Line("")
	s.Line("service_start() (")
	lines := []string{"set -e"}
	a.NoteIf(a.ClearEnv, "clear_env", "rc gives a few variables of its own")
	lines = append(lines, shell.Streams(a)...)
	lines = append(lines, "cd "+shell.Quote(a.Chdir), "umask "+a.Umask.String())
	lines = append(lines, shell.Limits(a)...)
	exports, words := shell.Environment(a)
	lines = append(lines, exports...)
	options := []string{`/usr/sbin/daemon -f -P "$pidfile" -p "$childfile"`}
	switch {
	case a.Type == spec.Oneshot:
		options = nil
	case a.Restart != spec.RestartNo:
		a.NoteIf(*a.Backoff.First == 0, "backoff.first", "daemon(8) waits a second at least")
		options = append(options, fmt.Sprintf("-R %d", max(1, writers.Seconds(*a.Backoff.First))))
		a.NoteIf(a.Restart == spec.RestartOnFailure,
			"restart", "daemon(8) restarts after success too")
	}
	if user, group := a.UserGroup(); user != "" {
		a.NoteIf(group != "",
			"user", "the group %s is left out: daemon(8) takes that of the user", group)
		if options != nil {
			options = append(options, "-u "+shell.Quote(user))
		} else {
			a.Note("user", "left out of a oneshot: su(1) would start a shell of the user's")
		}
	}
	if out := a.LogFile(); options != nil {
		options = append(options, "-o "+shell.Quote(out))
	}
	if a.Nice != nil {
		options = append([]string{fmt.Sprintf("/usr/bin/nice -n %d", *a.Nice)}, options...)
	}
	s.Lines(lines...)
	s.Lines(shell.Exec(a.Command, words, options...))
	s.Line(")")
}

func stop(a *writers.Account, s *shell.Script) {
	a.Use("stop")
	a.NoteIf(len(a.Stop) > 1 || a.Stop[0].Signal != spec.DefaultStopSignal,
		"stop", "daemon(8) passes on TERM alone, and nothing follows it")
	s.Lines(`
service_stop() {
	pid=$(check_pidfile "$pidfile" "$procname")
	if [ -z "$pid" ]; then echo "$name is not running"; return 1; fi
	kill -TERM $pid && wait_for_pids $pid
}`)
}

func reload(a *writers.Account, s *shell.Script) {
	if a.Reload == "" {
		return
	}
	a.Use("reload")
	s.Line("extra_commands=reload")
	s.Line("reload_cmd='read -r child <\"$childfile\" && kill -%s \"$child\"'", a.Reload)
}
