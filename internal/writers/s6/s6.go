// Package s6 writes s6 service directories.
//
// The references are the pages of s6-supervise, servicedir, s6-log and
// s6-notifyoncheck of s6 2.11.
package s6

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
		Name:    "s6",
		About:   "service directories for s6 2.11 and later",
		Dir:     "/etc/s6/sv",
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"liveness": "left out: s6-supervise asks nobody",
	"watchdog": "left out: s6-supervise takes no messages",
	"sockets":  "left out: nobody hands sockets over; the program must listen",
	"backoff":  "left out: s6-supervise waits a second before every restart",
	"budget":   "left out: s6-supervise restarts without a limit",
	"stop_to":  "left out: s6-supervise signals the process alone",
	"sandbox":  "left out: s6 builds no sandbox",
	"limits":   "left out: s6 makes no cgroup",
	"orphan":   "left out: a service whose s6-supervise is gone lives on",
	"schedule": "left out: write it into crontab(5)",
	"timeout":  "left out: s6-svwait waits as long as its -t says",
}

// directory is a service directory that is being written.
type directory struct {
	*writers.Account
	files []writers.File
}

func (d *directory) script(name string, lines ...string) {
	s := shell.NewScript("/bin/sh")
	s.Lines(lines...)
	d.files = append(d.files,
		writers.File{Path: d.Name + "/" + name, Mode: 0o755, Content: s.Bytes()})
}

// value writes a file that holds one value and nothing else.
func (d *directory) value(name string, value any) {
	d.files = append(d.files, writers.File{
		Path:    d.Name + "/" + name,
		Mode:    0o644,
		Content: fmt.Appendln(nil, value),
		Bare:    true,
	})
}

func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	d := &directory{Account: a}
	tools := d.ready()
	d.script("run", append(d.dependencies(), shell.Run(a, tools...)...)...)
	d.files[len(d.files)-1].Mode = shell.Mode(a)
	d.finish()
	d.stop()
	d.logger()
	d.Use("autostart")
	if !*a.Autostart {
		d.files = append(d.files, writers.File{Path: a.Name + "/down", Mode: 0o644, Bare: true})
	}
	return d.files, nil
}

// dependencies brings up what the service needs, in the same scan directory.
func (d *directory) dependencies() []string {
	d.Use("requires", "wants")
	var lines []string
	for _, list := range []struct {
		names     []string
		otherwise string
	}{{d.Requires, "exit 1"}, {d.Wants, ":"}} {
		for _, name := range list.names {
			dir := shell.Quote("../" + name)
			lines = append(lines,
				"s6-svc -u "+dir+" && s6-svwait -u -t 30000 "+dir+" || "+list.otherwise)
		}
	}
	return lines
}

// ready returns the tool that tells s6-supervise when the service is up.
func (d *directory) ready() []string {
	d.Use("ready")
	test := shell.Test(d.Ready)
	switch {
	case d.Ready.Kind == spec.ProbeFD:
		d.value("notification-fd", d.Ready.FD)
	case test != "":
		d.value("notification-fd", 3)
		d.script("data/check", "exec "+test)
		return []string{`s6-notifyoncheck -w 200 -n 0 -c ` + shell.Quote("./data/check")}
	case d.Says("ready"):
		d.Note(
			"ready", "s6-supervise takes the service for up as soon as it runs: s6 has no probe %q",
			d.Ready.Kind,
		)
	}
	return nil
}

// finish ends with 125 where s6-supervise shall not restart. $1 is the exit
// code, or 256 if a signal, $2, ended the program.
func (d *directory) finish() {
	d.Use("type", "restart", "success")
	d.NoteIf(d.Type == spec.Oneshot,
		"type", "runs once and stays down; services that require it do not wait for its end")
	switch d.Restart {
	case spec.RestartNo:
		d.script("finish", "exit 125")
	case spec.RestartOnFailure:
		d.script("finish", shell.OnSuccess(d.Account, "256", "exit 125")...)
	case spec.RestartAlways:
		d.NoteIf(!d.Success.IsZero(),
			"success", "means nothing: every end is followed by a restart")
	}
}

// stop says which signal ends the service, and when KILL follows.
func (d *directory) stop() {
	d.Use("stop", "stop_timeout", "reload")
	d.value("down-signal", "SIG"+string(d.Stop[0].Signal))
	if len(d.Stop) > 1 {
		d.Note("stop", "s6 sends %s alone, and KILL when the time of all steps is over",
			d.Stop[0].Signal)
	}
	if total := d.StopTotal(); total != spec.Forever {
		d.value("timeout-kill", int64(total)/1e6)
	}
	d.NoteIf(d.Reload != "", "reload", "by hand: s6-svc -s SIG%s DIRECTORY", d.Reload)
}

// logger takes the output.
func (d *directory) logger() {
	d.Use("log.targets", "log.file", "log.rotate_size", "log.keep", "log.compress", "log.timestamp")
	if d.Log.Targets[0].Kind == spec.TargetNone {
		d.script("log/run", "exec cat >/dev/null")
		return
	}
	d.NoteIf(d.Says("log.targets"), "log.targets", "the output goes to s6-log")
	dir := "/var/log/" + d.Name
	if d.Log.File != "" {
		dir = path.Dir(d.Log.File)
		d.Note("log.file", "s6-log writes %s/current", dir)
	}
	// s6-log keeps a file between 4 KiB and 256 MiB.
	size := min(max(*d.Log.RotateSize, 4096), 268435455)
	d.NoteIf(size != *d.Log.RotateSize,
		"log.rotate_size", "s6-log takes 4096 to 268435455 bytes: %d", size)
	words := []string{fmt.Sprintf("n%d", *d.Log.Keep), fmt.Sprintf("s%d", size)}
	switch d.Log.Compress {
	case spec.CompressGzip:
		words = append(words, "!gzip -c")
	case spec.CompressZstd:
		words = append(words, "!zstd -qc")
	}
	switch d.Log.Timestamp {
	case spec.TimestampLocal:
		words = append(words, "T")
	case spec.TimestampUTC:
		words = append(words, "T")
		d.Note("log.timestamp", "s6-log stamps lines in local time: run it with TZ=UTC")
	}
	d.script("log/run", "set -e", "umask 0027", "mkdir -p "+shell.Quote(dir),
		"exec s6-log "+shell.Join(append(words, dir)...))
}
