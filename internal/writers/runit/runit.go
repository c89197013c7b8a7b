// Package runit writes runit service directories.
//
// A directory has the script run, where needed finish, check, control/t and
// control/h, and log/run for the output. The references are runsv(8), sv(8)
// and svlogd(8).
package runit

import (
	"fmt"
	"path"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/shell"
	"github.com/daemonry/daemonry/spec"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "runit",
		About:   "service directories for runit",
		Dir:     "/etc/sv",
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"liveness":      "left out: runsv asks nobody",
	"watchdog":      "left out: runsv takes no messages",
	"sockets":       "left out: nobody hands sockets over; the program must listen",
	"timeout":       "left out: sv waits as long as its -w says",
	"backoff":       "left out: runsv waits a second before every restart",
	"backoff.first": "left out: runsv waits a second before every restart",
	"budget":        "left out: runsv restarts without a limit",
	"stop_timeout": "left out: sv waits as long as its -w says, and sends KILL with force-stop " +
		"alone",
	"stop_to":  "left out: runsv signals the process alone",
	"sandbox":  "left out: runit builds no sandbox",
	"limits":   "left out: runit makes no cgroup",
	"orphan":   "left out: a service whose runsv is gone lives on",
	"schedule": "left out: write it into crontab(5)",
}

// render writes one directory.
func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	run := shell.NewScript("/bin/sh")
	run.Lines(dependencies(a)...)
	run.Lines(shell.Run(a)...)
	files := []writers.File{{Path: a.Name + "/run", Mode: shell.Mode(a), Content: run.Bytes()}}
	add := func(name string, lines ...string) {
		if len(lines) == 0 {
			return
		}
		s := shell.NewScript("/bin/sh")
		s.Lines(lines...)
		files = append(files,
			writers.File{Path: a.Name + "/" + name, Mode: 0o755, Content: s.Bytes()})
	}
	add("finish", finish(a)...)
	add("check", check(a)...)
	add("control/t", stop(a)...)
	add("control/h", reload(a)...)
	add("log/run", logger(a)...)
	a.Use("autostart")
	if !*a.Autostart {
		files = append(files, writers.File{Path: a.Name + "/down", Mode: 0o644, Bare: true})
	}
	return files, nil
}

// dependencies starts what the service needs, and tries again later if that
// does not come up.
func dependencies(a *writers.Account) []string {
	a.Use("requires", "wants")
	var lines []string
	for _, name := range a.Requires {
		lines = append(lines, "sv start "+shell.Quote(name)+" >/dev/null || exit 1")
	}
	for _, name := range a.Wants {
		lines = append(lines, "sv start "+shell.Quote(name)+" >/dev/null || :")
	}
	return lines
}

// downFunction does not take back the wish that runsv itself end, which it has
// from "sv exit", or when its link is gone: it would stay for ever.
var downFunction = []string{
	`stay_down() {`,
	"\tread -r state <supervise/stat",
	"\tcase \"$state\" in *\"want exit\"*) ;; *) sv down . ;; esac",
	`}`,
}

// finish keeps runsv from restarting what shall not be restarted. $1 is the exit
// code, or -1 if a signal, $2, ended the program.
func finish(a *writers.Account) []string {
	a.Use("type", "restart", "success")
	a.NoteIf(a.Type == spec.Oneshot,
		"type", "runs once and stays down; services that require it do not wait for its end")
	var lines []string
	if a.Says("backoff.first") {
		a.Use("backoff.first")
		lines = append(lines, fmt.Sprintf("sleep %d", writers.Seconds(*a.Backoff.First)))
	}
	if a.Restart != spec.RestartAlways {
		lines = append(lines, downFunction...)
	}
	switch a.Restart {
	case spec.RestartNo:
		lines = append(lines, "stay_down")
	case spec.RestartOnFailure:
		lines = append(lines, shell.OnSuccess(a, "-1", "stay_down")...)
	case spec.RestartAlways:
		a.NoteIf(!a.Success.IsZero(),
			"success", "means nothing: every end is followed by a restart")
	}
	return lines
}

// check is what sv asks until the service is up.
func check(a *writers.Account) []string {
	a.Use("ready")
	test := shell.Test(a.Ready)
	switch {
	case test != "":
		return []string{"exec " + test}
	case a.Says("ready"):
		a.Note("ready", "sv takes the service for up as soon as it runs: runit has no probe %q",
			a.Ready.Kind)
	}
	return nil
}

const pidLine = `read -r pid <supervise/pid || exit 1`

// stop runs in place of TERM, if that is not the signal.
func stop(a *writers.Account) []string {
	a.Use("stop", "stop_command")
	var lines []string
	if len(a.StopCommand) > 0 {
		lines = append(lines, pidLine, "export MAINPID=\"$pid\"",
			"( cd "+shell.Quote(a.Chdir)+" && "+shell.Join(a.StopCommand...)+" ) || :")
		a.Note("stop_command", "is run as root")
	}
	if len(a.Stop) > 1 {
		a.Note("stop", "runit sends %s alone", a.Stop[0].Signal)
	}
	if first := a.Stop[0].Signal; first != spec.DefaultStopSignal {
		lines = append(lines, pidLine, `kill -`+string(first)+` "$pid"`, "exit 0")
	} else if len(lines) > 0 {
		lines = append(lines, "exit 1 # runsv sends TERM itself")
	}
	return lines
}

// reload runs for "sv hup".
func reload(a *writers.Account) []string {
	a.Use("reload", "reload_command")
	switch {
	case len(a.ReloadCommand) > 0:
		a.Note("reload_command", "is run as root, by sv hup")
		return []string{pidLine, "export MAINPID=\"$pid\"",
			"cd " + shell.Quote(a.Chdir) + " && " + shell.Join(a.ReloadCommand...), "exit 0"}
	case a.Reload != "" && a.Reload != "HUP":
		a.Note("reload", "by sv hup")
		return []string{pidLine, `kill -` + string(a.Reload) + ` "$pid"`, "exit 0"}
	case a.Reload == "HUP":
		a.Note("reload", "by sv hup")
	}
	return nil
}

// logger is the service that takes the output. svlogd reads the file config in
// its directory.
func logger(a *writers.Account) []string {
	a.Use("log.targets", "log.file", "log.rotate_size", "log.rotate_age", "log.keep",
		"log.compress", "log.timestamp")
	if a.Log.Targets[0].Kind == spec.TargetNone {
		return []string{"exec cat >/dev/null"}
	}
	a.NoteIf(a.Says("log.targets"), "log.targets", "the output goes to svlogd")
	dir := "/var/log/" + a.Name
	if a.Log.File != "" {
		dir = path.Dir(a.Log.File)
		a.Note("log.file", "svlogd writes %s/current", dir)
	}
	config := []string{fmt.Sprintf("s%d", *a.Log.RotateSize), fmt.Sprintf("n%d", *a.Log.Keep)}
	if a.Log.RotateAge > 0 {
		config = append(config, fmt.Sprintf("t%d", writers.Seconds(a.Log.RotateAge)))
	}
	switch a.Log.Compress {
	case spec.CompressGzip:
		config = append(config, "!gzip")
	case spec.CompressZstd:
		config = append(config, "!zstd")
	}
	options := ""
	switch a.Log.Timestamp {
	case spec.TimestampUTC:
		options = "-ttt "
	case spec.TimestampLocal:
		options = "-ttt "
		a.Note("log.timestamp", "svlogd stamps lines in UTC")
	}
	return []string{
		"set -e", "umask 0027", "mkdir -p " + shell.Quote(dir),
		`printf '%s\n' ` + shell.Join(config...) + " >" + shell.Quote(dir+"/config"),
		"exec svlogd " + options + shell.Quote(dir),
	}
}
