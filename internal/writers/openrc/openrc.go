// Package openrc writes init scripts for OpenRC, whose supervise-daemon(8) keeps the program
// running.
//
// The function that starts the program evaluates its words twice: once as they
// are, when blanks and globs would change them, and once as shell text. So the
// words are variables, of which only the names pass through the first time.
package openrc

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
		Name:    "openrc",
		About:   "init scripts for OpenRC 0.45 and later",
		Dir:     "/etc/init.d",
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"liveness":  "left out: write a function healthcheck",
	"watchdog":  "left out: supervise-daemon takes no messages",
	"sockets":   "left out: nobody hands sockets over; the program must listen",
	"ready":     "the service is up as soon as supervise-daemon has started it",
	"timeout":   "left out: there is nothing that is waited for",
	"restart":   "supervise-daemon restarts after every end",
	"success":   "left out: supervise-daemon restarts after every end",
	"backoff":   "supervise-daemon waits the same time before every restart: that of backoff.first",
	"sandbox":   "left out: OpenRC builds no sandbox",
	"orphan":    "left out: a service whose supervise-daemon is gone lives on",
	"schedule":  "left out: write it into crontab(5)",
	"log":       "left out: the output goes to a file as it is; logrotate(8) can rotate it",
	"stop_to":   "left out: supervise-daemon signals the process alone",
	"pidfile":   "left out: supervise-daemon has one of its own",
	"limits":    "left out: see rc_cgroup_settings",
	"clear_env": "OpenRC gives a few variables of its own",
}

// render writes one script.
func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	s := shell.NewScript("/sbin/openrc-run")
	a.Use("description", "command", "type", "chdir", "chroot", "umask", "user", "nice",
		"no_new_privs", "cap", "oom_score", "autostart")
	s.Line("name=%s", shell.Quote(a.Name))
	s.Line("description=%s", shell.Quote(cmp.Or(a.Description, a.Name)))
	if a.Type == spec.Oneshot {
		oneshot(a, s)
	} else {
		daemon(a, s)
	}
	depend(a, s)
	a.NoteIf(!*a.Autostart,
		"autostart", "do not add it to a runlevel: rc-update would start it at boot")
	return []writers.File{{Path: a.Name, Mode: shell.Mode(a), Content: s.Bytes()}}, nil
}

// daemon writes the variables of supervise-daemon-guide.
func daemon(a *writers.Account, s *shell.Script) {
	exports, words := shell.Environment(a)
	command := append([]string{a.Program(a.Command)}, a.Command[1:]...)
	if len(words) > 0 {
		command = append(append([]string{"/usr/bin/env"}, words...), command...)
	}
	s.Line("supervisor=supervise-daemon")
	var names []string
	for i, word := range command {
		s.Line("word%d=%s", i, shell.Quote(word))
		names = append(names, fmt.Sprintf(`"$word%d"`, i))
	}
	s.Line("command=%s", shell.Quote(names[0]))
	s.Line("command_args=%s", shell.Quote(strings.Join(names[1:], " ")))
	indirect := func(variable, name, value string) {
		if value != "" {
			s.Line("%s=%s", name, shell.Quote(value))
			s.Line(`%s='"$%s"'`, variable, name)
		}
	}
	indirect("directory", "service_directory", a.Chdir)
	indirect("chroot", "service_root", a.Chroot)
	indirect("command_user", "service_user", a.User)
	logs(a, indirect)
	s.Line("umask=%s", a.Umask)
	restarts(a, s)
	var options []string
	if a.Nice != nil {
		options = append(options, fmt.Sprintf("--nicelevel %d", *a.Nice))
	}
	if a.OOMScore != nil {
		options = append(options, fmt.Sprintf("--oom-score-adj %d", *a.OOMScore))
	}
	a.NoteIf(a.Stdin.Kind == spec.StreamPath, "stdin", "left out: supervise-daemon gives /dev/null")
	if len(options) > 0 {
		s.Line("supervise_daemon_args=%s", shell.Quote(strings.Join(options, " ")))
	}
	if a.NoNewPrivs {
		s.Line("no_new_privs=yes")
	}
	if a.Cap != nil {
		capabilities(a, s)
	}
	lines := append(shell.Limits(a), exports...)
	if len(lines) > 0 {
		s.Line("")
		s.Line("start_pre() {")
		for _, line := range lines {
			s.Line("\t%s || return 1", line)
		}
		s.Line("}")
	}
	reload(a, s)
}

// capabilities are an IAB text (cap_iab(3)): "^" raises inheritable and ambient,
// "!" drops from the bounding set.
func capabilities(a *writers.Account, s *shell.Script) {
	raised := writers.Each(a.Cap, func(name string) string { return "^cap_" + name })
	s.Line("capabilities=%s", shell.Quote(strings.Join(raised, ",")))
	a.Note("cap", "are raised; supervise-daemon drops no others")
}

func restarts(a *writers.Account, s *shell.Script) {
	a.Use("backoff.first", "budget.restarts", "budget.window", "stop", "stop_timeout")
	if a.Restart != spec.RestartAlways {
		a.Note("restart", "not %s: supervise-daemon restarts after every end, success too",
			a.Restart)
	} else {
		a.Use("restart")
	}
	s.Line("respawn_delay=%d", writers.Seconds(*a.Backoff.First))
	s.Line("respawn_max=%d", max(0, *a.Budget.Restarts)) // 0 is without a limit
	s.Line("respawn_period=%d", writers.Seconds(*a.Budget.Window))
	a.NoteIf(*a.Budget.Restarts == 0, "budget.restarts", "0 is any number for supervise-daemon")
	var steps []string
	for _, step := range a.Stop {
		steps = append(steps, string(step.Signal), fmt.Sprint(writers.Seconds(step.Wait)))
	}
	s.Line("retry=%s", strings.Join(append(steps, "KILL", "5"), "/"))
}

func logs(a *writers.Account, indirect func(variable, name, value string)) {
	a.Use("stdin", "stdout", "stderr", "log.targets", "log.file", "log.error_file")
	out, err := a.OutputFiles()
	indirect("output_log", "service_out", out)
	indirect("error_log", "service_err", err)
	a.NoteStreams()
}

func reload(a *writers.Account, s *shell.Script) {
	a.Use("reload", "reload_command")
	if a.Reload == "" && len(a.ReloadCommand) == 0 {
		return
	}
	s.Line("")
	s.Line("extra_started_commands=reload")
	s.Line("reload() {")
	if a.Reload != "" {
		s.Line("\tsupervise-daemon \"$RC_SVCNAME\" --signal %s", a.Reload)
	} else {
		a.Note("reload_command", "is run as root")
		s.Line("\texport MAINPID=\"$(service_get_value child_pid)\"")
		s.Line("\t( cd %s && %s )", shell.Quote(a.Chdir), shell.Join(a.ReloadCommand...))
	}
	s.Line("}")
}

// oneshot runs the program in start itself; OpenRC takes the service for started
// until it is stopped.
func oneshot(a *writers.Account, s *shell.Script) {
	a.NoteIf(!a.Remain,
		"remain", "OpenRC takes a oneshot that succeeded for started until it is stopped")
	a.Use("remain", "restart")
	// not among the arguments, which ps(1) shows
	s.Line("body=%s", shell.Quote("unset body\n"+shell.Body(a)))
	s.Line("")
	s.Line("start() {")
	s.Line("\tebegin \"Running $name\"")
	s.Line("\tbody=\"$body\" /bin/sh -c 'eval \"$body\"' \"$name\"")
	s.Line("\teend $?")
	s.Line("}")
}

func depend(a *writers.Account, s *shell.Script) {
	a.Use("requires", "wants", "after")
	s.Line("")
	s.Line("depend() {")
	s.Line("\tuse net")
	for _, list := range []struct {
		word  string
		names []string
	}{{"need", a.Requires}, {"want", a.Wants}, {"after", a.After}} {
		if len(list.names) > 0 {
			s.Line("\t%s %s", list.word, shell.Join(list.names...))
		}
	}
	s.Line("}")
}
