// Package supervisord writes program sections for supervisord.
//
// Its configuration is read by Python's configparser, which takes " ;" and " #"
// for comments even inside quotes, then "%" is expanded, then a command is split
// by shlex. So a command in which anything is not plain is written as the words
// of a shell that gets its text in octal: only letters, digits and backslashes
// pass through the three readers.
package supervisord

import (
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/shell"
	"github.com/daemonry/daemonry/spec"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "supervisord",
		About:   "program sections for supervisord 4",
		Dir:     "/etc/supervisor/conf.d",
		Comment: func(text string) string { return "; " + text },
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"ready":    "supervisord asks nobody: a program is up when it has run for startsecs",
	"timeout":  "left out: there is nothing that is waited for",
	"liveness": "left out: supervisord asks nobody",
	"backoff": "left out: supervisord waits a second more with each try to start, and nothing " +
		"after a crash",
	"budget":   "left out: supervisord counts tries to start alone (startretries)",
	"after":    "supervisord orders by priority alone and waits for nobody",
	"requires": "supervisord orders by priority alone and waits for nobody",
	"wants":    "supervisord orders by priority alone and waits for nobody",
	"log":      "left out: supervisord rotates by size alone and writes what it gets",
	"sandbox":  "left out: supervisord builds no sandbox",
	"limits":   "left out: supervisord makes no cgroup",
	"orphan":   "left out",
	"schedule": "left out: write it into crontab(5)",
	"reload":   "left out: supervisorctl signal sends any signal by hand",
}

// render writes one file. What supervisord has no key for is done by a shell
// that then becomes the program.
func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	var b strings.Builder
	key := func(name string, value any) { fmt.Fprintf(&b, "%s=%v\n", name, value) }
	fmt.Fprintf(&b, "[program:%s]\n", a.Name)
	// The whole birth of the program, as root: supervisord's own keys for user, directory and
	// environment cannot carry every text. It is a variable, because ps(1) shows everybody what is
	// among the arguments.
	key("command", `/bin/sh -c 'eval "$(printf %%b "$body")"'`)
	key("environment", `body="`+encode("unset body\n"+shell.Body(a))+`"`)
	key("umask", strings.TrimPrefix(a.Umask.String(), "0"))
	a.Use("umask", "autostart", "restart", "success", "stop", "stop_timeout", "stop_to", "type")
	key("autostart", *a.Autostart)
	restarts(a, key)
	signal := a.Stop[0].Signal
	if strings.ContainsAny(string(signal), "+-") { // Python has names for RTMIN and RTMAX alone
		a.Note("stop", "supervisord knows no signal %s, and sends TERM", signal)
		signal = spec.DefaultStopSignal
	}
	key("stopsignal", signal)
	a.NoteIf(len(a.Stop) > 1,
		"stop", "supervisord sends %s alone, and KILL when the time of all steps is over", signal)
	key("stopwaitsecs", writers.Seconds(a.StopTotal()))
	key("killasgroup", true)
	key("stopasgroup", a.StopTo == spec.StopAll)
	logs(a, key)
	return []writers.File{
		{Path: a.Name + ".conf", Mode: shell.Mode(a) &^ 0o111, Content: []byte(b.String())},
	}, nil
}

// encode returns a text for "printf %b" that no quoting and no expansion of supervisord's means
// anything to.
func encode(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c == '/' || c == '.' || c == '-' ||
			c == '_' || c == ' ' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\0%03o`, c)
	}
	return b.String()
}

func restarts(a *writers.Account, key func(string, any)) {
	alive, waits := a.Alive()
	switch {
	case a.Type == spec.Oneshot:
		key("startsecs", 0)
	case waits:
		a.Use("ready")
		key("startsecs", writers.Seconds(alive))
	default:
		key("startsecs", 0)
		a.Note("ready", "supervisord has no probe %q: the program is up as soon as it runs",
			a.Ready.Kind)
	}
	key("autorestart",
		map[spec.Restart]string{spec.RestartNo: "false", spec.RestartOnFailure: "unexpected",
			spec.RestartAlways: "true"}[a.Restart])
	codes := "0"
	for _, code := range a.Success.Codes {
		codes += fmt.Sprintf(",%d", code)
	}
	key("exitcodes", codes)
	a.NoteIf(len(a.Success.Signals) > 0,
		"success", "signals are left out: a program that one ends is restarted")
}

func logs(a *writers.Account, key func(string, any)) {
	a.Use("log.targets", "log.file", "log.error_file", "log.rotate_size", "log.keep")
	path := func(file, otherwise string) string {
		switch {
		case a.Log.Targets[0].Kind == spec.TargetNone:
			return "NONE"
		case file == "":
			return otherwise
		case strings.Trim(file,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@+=-") != "":
			a.Note("log.file", "the name has characters that the configuration cannot hold: AUTO")
			return "AUTO"
		}
		return file
	}
	key("redirect_stderr", a.Log.ErrorFile == "")
	out := [][2]string{{"stdout", path(a.Log.File, "AUTO")}}
	if a.Log.ErrorFile != "" {
		out = append(out, [2]string{"stderr", path(a.Log.ErrorFile, "AUTO")})
		a.Note("log.error_file",
			"is empty unless stderr is apart from stdout: the command joins them")
	}
	for _, stream := range out {
		key(stream[0]+"_logfile", stream[1])
		key(stream[0]+"_logfile_maxbytes", int64(*a.Log.RotateSize))
		key(stream[0]+"_logfile_backups", *a.Log.Keep)
	}
	a.NoteIf(a.Says("log.targets") && a.Log.Targets[0].Kind != spec.TargetNone,
		"log.targets", "the output goes to files of supervisord")
}
