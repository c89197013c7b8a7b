// Package sysv writes scripts for SysV init, with an LSB header, for machines that have
// start-stop-daemon(8).
//
// Exit statuses are those of the Linux Standard Base for init scripts.
package sysv

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/shell"
	"github.com/daemonry/daemonry/spec"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "sysv",
		About:   "init scripts with an LSB header for SysV init",
		Dir:     "/etc/init.d",
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"restart":       "left out: SysV init restarts nothing",
	"success":       "left out: SysV init restarts nothing",
	"backoff":       "left out: SysV init restarts nothing",
	"budget":        "left out: SysV init restarts nothing",
	"liveness":      "left out: SysV init watches nothing",
	"watchdog":      "left out: SysV init watches nothing",
	"notify_access": "left out: SysV init takes no messages",
	"sandbox":       "left out: SysV init builds no sandbox",
	"limits":        "left out: SysV init makes no cgroup",
	"orphan":        "left out: there is no supervisor that could be gone",
	"schedule":      "left out: write it into crontab(5)",
	"log":           "left out: the output goes to a file as it is; logrotate(8) can rotate it",
	"stop_to":       "left out: start-stop-daemon signals the process alone",
}

func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	s := shell.NewScript("/bin/sh")
	header(a, s)
	a.Use("pidfile")
	s.Line("pidfile=%s", shell.Quote(cmp.Or(a.Pidfile, "/run/"+a.Name+".pid")))
	// The program's whole birth is one variable, so nothing of it passes through the words of
	// start-stop-daemon, which ps(1) shows to everybody: there are secrets in it.
	body := shell.Body(a)
	s.Line("body=%s", shell.Quote("unset body\n"+body))
	s.Line("")
	s.Line("start() {")
	log := a.LogFile()
	if a.Type == spec.Oneshot {
		a.Use("type")
		a.NoteIf(a.Remain, "remain", "status cannot tell a oneshot that succeeded")
		s.Line("\tbody=\"$body\" /bin/sh -c 'eval \"$body\"' %s >>%s 2>&1",
			shell.Quote(a.Name), shell.Quote(log))
	} else {
		s.Line("\tbody=\"$body\" start-stop-daemon --start --oknodo --quiet --background " +
			"--no-close --make-pidfile --pidfile \"$pidfile\" \\")
		s.Line("\t\t--startas /bin/sh -- -c 'eval \"$body\"' %s >>%s 2>&1 || return 1",
			shell.Quote(a.Name), shell.Quote(log))
		ready(a, s)
	}
	s.Line("}")
	stop(a, s)
	reload := reloadLines(a)
	verbs(s, reload)
	return []writers.File{{Path: a.Name, Mode: shell.Mode(a), Content: s.Bytes()}}, nil
}

func header(a *writers.Account, s *shell.Script) {
	a.Use("description", "requires", "wants", "after", "autostart")
	levels := "2 3 4 5"
	if !*a.Autostart {
		levels = ""
	}
	s.Line("### BEGIN INIT INFO")
	s.Line("# Provides:          %s", a.Name)
	required := strings.Join(append([]string{"$remote_fs", "$network"}, a.Requires...), " ")
	s.Line("# Required-Start:    %s", required)
	s.Line("# Required-Stop:     %s", required)
	should := strings.Join(slices.Concat(a.Wants, a.After), " ")
	s.Line("# Should-Start:      %s", should)
	s.Line("# Should-Stop:       %s", should)
	s.Line("# Default-Start:     %s", levels)
	s.Line("# Default-Stop:      0 1 6")
	s.Line("# Short-Description: %s", cmp.Or(a.Description, a.Name))
	s.Line("### END INIT INFO")
	a.NoteIf(len(a.Requires) > 0,
		"requires", "is ordered at boot; starting by hand starts no other service")
	a.NoteIf(len(a.Wants) > 0,
		"wants", "is ordered at boot; starting by hand starts no other service")
}

// ready waits until the service is up, or gives up with the status of a failure.
func ready(a *writers.Account, s *shell.Script) {
	a.Use("ready", "timeout")
	test := shell.Test(a.Ready)
	if alive, waits := a.Alive(); waits {
		s.Line("\tsleep %d", writers.Seconds(alive))
		test = ":"
	}
	if test == "" {
		a.Note("ready", "the service is up as soon as it runs: a script has no probe %q",
			a.Ready.Kind)
		a.Note("timeout", "left out, for nothing is waited for")
		return
	}
	s.Line("\tleft=%d", writers.Seconds(*a.Timeout))
	s.Line("\tuntil %s >/dev/null 2>&1; do", test)
	s.Line("\t\tleft=$((left - 1))")
	s.Line(
		"\t\t[ \"$left\" -gt 0 ] && start-stop-daemon --status --pidfile \"$pidfile\" || return 1",
	)
	s.Line("\t\tsleep 1")
	s.Line("\tdone")
	s.Line("\tstart-stop-daemon --status --pidfile \"$pidfile\"")
}

// stop uses the schedule of start-stop-daemon, which is ours.
func stop(a *writers.Account, s *shell.Script) {
	a.Use("stop", "stop_timeout", "stop_command")
	var steps []string
	for _, step := range a.Stop {
		steps = append(steps, signal(step.Signal), fmt.Sprint(writers.Seconds(step.Wait)))
	}
	s.Line("")
	s.Line("stop() {")
	if len(a.StopCommand) > 0 {
		a.Note("stop_command", "is run as root, without a limit of time")
		s.Line("\tif read -r MAINPID <\"$pidfile\"; then export MAINPID; ( cd %s && %s ) || :; fi",
			shell.Quote(a.Chdir), shell.Join(a.StopCommand...))
	}
	s.Line(
		"\tstart-stop-daemon --stop --oknodo --quiet --remove-pidfile --pidfile \"$pidfile\" "+
			"--retry %s",
		strings.Join(append(steps, "KILL", "5"), "/"),
	)
	s.Line("}")
}

// known are the signals that start-stop-daemon(8) of dpkg has names for.
var known = []spec.Signal{
	"ABRT", "ALRM", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV",
	"STOP", "TERM", "TSTP", "TTIN", "TTOU", "USR1", "USR2",
}

// signal writes a signal in a schedule of start-stop-daemon: others than those by
// their number on Linux, whose architectures agree but for MIPS, SPARC and Alpha.
func signal(s spec.Signal) string {
	if slices.Contains(known, s) {
		return string(s)
	}
	for n := 1; n <= 64; n++ {
		if name, err := spec.ParseSignal(strconv.Itoa(n)); err == nil && name == s {
			return "-" + strconv.Itoa(n)
		}
	}
	return string(s)
}

func reloadLines(a *writers.Account) []string {
	a.Use("reload", "reload_command")
	switch {
	case len(a.ReloadCommand) > 0:
		a.Note("reload_command", "is run as root")
		return []string{`read -r MAINPID <"$pidfile" || return 7; export MAINPID`, "cd " +
			shell.Quote(a.Chdir) + " && " + shell.Join(a.ReloadCommand...)}
	case a.Reload != "":
		return []string{`start-stop-daemon --stop --quiet --signal ` +
			strings.TrimPrefix(signal(a.Reload), "-") + ` --pidfile "$pidfile"`}
	}
	return []string{"return 3 # there is none"}
}

func verbs(s *shell.Script, reload []string) {
	s.Line("")
	s.Line("reload() {")
	for _, line := range reload {
		s.Line("\t%s", line)
	}
	s.Line("}")
	s.Lines(choose)
}

const choose = `
case "$1" in
start|stop|reload) "$1" ;;
restart|force-reload) stop; start ;;
try-restart) start-stop-daemon --status --pidfile "$pidfile" || exit 0; stop; start ;;
status)
	start-stop-daemon --status --pidfile "$pidfile"
	status=$?
	case $status in 0) echo running ;; 1|3) echo "not running" ;; *) echo unknown ;; esac
	exit $status
	;;
*)
	echo "usage: $0 start|stop|restart|try-restart|reload|force-reload|status" >&2
	exit 2
	;;
esac`
