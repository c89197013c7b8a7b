package systemd

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/shell"
	"github.com/daemonry/daemonry/spec"
)

// commandLine writes a command. The prefix ":" keeps systemd from replacing
// variables; "@" gives a program its name where that is not its path. A shell
// executes programs whose path systemd refuses, however it is quoted: one with
// quotes, backslashes or control characters (string_is_safe in its source).
func (w *writer) commandLine(c spec.Command) string {
	words := append([]string{w.Program(c)}, c[1:]...)
	prefix := ""
	if strings.ContainsFunc(words[0],
		func(r rune) bool { return strings.ContainsRune(`"'\`, r) || r < ' ' || r == 0x7f }) {
		return lineOf("", append([]string{"/bin/sh", "-c", `exec "$0" "$@"`}, words...)...)
	}
	if words[0] != c[0] {
		prefix = "@"
		words = append([]string{words[0], c[0]}, c[1:]...)
	}
	return lineOf(prefix, words...)
}

func lineOf(prefix string, words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
		if strings.Contains(word, "$") && !strings.Contains(prefix, ":") {
			prefix = ":" + prefix
		}
	}
	return prefix + strings.Join(quoted, " ")
}

// start says how the service comes up.
func (w *writer) start() {
	w.Use("command", "type", "remain", "timeout", "notify_access", "watchdog", "fdstore", "ready")
	unitType := w.unitType()
	w.set("Type", unitType)
	if w.Type == spec.Oneshot && w.Remain {
		w.set("RemainAfterExit", "yes")
	}
	w.set("ExecStart", w.commandLine(w.Command))
	if w.Type == spec.Daemon {
		w.ready()
	}
	w.set("TimeoutStartSec", timespan(*w.Timeout))
	if access := w.NotifyAccess; access != spec.NotifyMain ||
		strings.HasPrefix(unitType, "notify") || w.Watchdog > 0 || w.FDStore > 0 {
		w.set("NotifyAccess", access)
	}
	if w.Watchdog > 0 {
		w.set("WatchdogSec", timespan(w.Watchdog))
	}
	if w.FDStore > 0 {
		w.set("FileDescriptorStoreMax", w.FDStore)
	}
	w.nonblocking()
	w.searchNote()
}

// nonblocking is one setting of the service for all its sockets.
func (w *writer) nonblocking() {
	w.Use("sockets.nonblocking")
	has := func(nonblocking bool) bool {
		return slices.ContainsFunc(w.Sockets,
			func(s spec.Socket) bool { return s.Nonblocking == nonblocking })
	}
	if has(true) {
		w.set("NonBlocking", "yes")
		w.NoteIf(has(false), "sockets.nonblocking",
			"holds for all sockets of the service or for none: all are handed over so")
	}
}

// searchNote tells of names that systemd searches in a path of its own, whatever
// PATH the service has.
func (w *writer) searchNote() {
	if _, ok := w.Env["PATH"]; ok && !strings.Contains(w.Command[0], "/") {
		w.Note("command", "%s is searched where systemd searches programs, not in the PATH of env",
			w.Command[0])
	}
}

// unitType chooses Type=. simple is never it: it calls a program up that does
// not exist.
func (w *writer) unitType() string {
	switch {
	case w.Type == spec.Oneshot:
		return "oneshot"
	case w.Ready.Kind != spec.ProbeNotify:
		return "exec"
	case w.Reload == "HUP" && w.opts.Version >= notifyReload:
		return "notify-reload"
	}
	return "notify"
}

// ready adds what Type=exec lacks: a job that must succeed before the service
// counts as started, and that fails if the program ends meanwhile.
func (w *writer) ready() {
	if alive, waits := w.Alive(); waits {
		if alive > 0 {
			w.startPost(lineOf("", "/bin/sleep", fmt.Sprintf("%g", float64(alive)/1e9)))
		}
		return
	}
	test := shell.Test(w.Ready)
	switch {
	case w.Ready.Kind == spec.ProbeExec, w.Ready.Kind == spec.ProbeNotify:
		return
	case test == "":
		w.Note("ready",
			"systemd has no probe %q: the service is up as soon as it is executed; let it send "+
				"READY=1", w.Ready.Kind)
		return
	case w.Ready.Kind == spec.ProbeUnix:
		w.Note("ready", "the service is up when the socket exists, not when it takes a connection")
	}
	const loop = `while kill -0 "$MAINPID" 2>/dev/null; ` +
		`do %s >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1`
	w.startPost(lineOf("", "/bin/sh", "-c", fmt.Sprintf(loop, test)))
}

func (w *writer) startPost(line string) {
	w.NoteIf(w.Chroot != "", "ready", "the programs that wait must exist inside chroot: %s", line)
	w.set("ExecStartPost", line)
}

func (w *writer) restarts() {
	w.Use("restart", "backoff.first", "success.codes", "success")
	w.set("Restart", w.Restart)
	if w.Restart != spec.RestartNo {
		w.set("RestartSec", timespan(*w.Backoff.First))
		w.graduate()
	}
	var words []string
	for _, code := range w.Success.Codes {
		words = append(words, fmt.Sprint(code))
	}
	for _, signal := range w.Success.Signals {
		words = append(words, "SIG"+string(signal))
	}
	if len(words) > 0 {
		w.words("SuccessExitStatus", words...)
	}
}

// graduate writes the growth of the delay: systemd takes a number of steps from
// the first delay to the last one.
func (w *writer) graduate() {
	b := w.Backoff
	if w.opts.Version < graduatedDelay {
		return
	}
	w.Use("backoff.factor", "backoff.cap")
	if *b.First == 0 || *b.Factor == 1 || *b.Cap <= *b.First || *b.Cap == spec.Forever {
		return
	}
	steps := math.Ceil(math.Log(float64(*b.Cap)/float64(*b.First)) / math.Log(*b.Factor))
	w.set("RestartSteps", max(1, int(steps)))
	w.set("RestartMaxDelaySec", timespan(*b.Cap))
}

// stop says how the service ends. systemd sends one signal, waits, and then
// KILL; FinalKillSignal= would be in place of KILL and leave processes behind.
func (w *writer) stop() {
	w.Use("stop", "stop_timeout", "stop_command", "stop_to", "reload", "reload_command")
	w.set("KillSignal", "SIG"+string(w.Stop[0].Signal))
	if len(w.Stop) > 1 {
		w.Note("stop", "systemd sends %s alone, and KILL when the time of all steps is over",
			w.Stop[0].Signal)
	}
	wait := w.StopTotal()
	if len(w.StopCommand) > 0 {
		// TimeoutStopSec= holds for the command and for the signal, each.
		if wait != *w.StopTimeout {
			w.Note("stop_timeout",
				"stop_command and the signals have the same time in systemd, the longer one")
		}
		wait = max(wait, *w.StopTimeout)
		w.set("ExecStop", w.commandLine(w.StopCommand))
	}
	w.set("TimeoutStopSec", timespan(wait))
	mode := "mixed"
	if w.StopTo == spec.StopAll {
		mode = "control-group"
	}
	w.set("KillMode", mode)
	switch {
	case len(w.ReloadCommand) > 0:
		w.set("ExecReload", w.commandLine(w.ReloadCommand))
	case w.Reload != "" && w.unitType() != "notify-reload":
		// The shell's own kill: that of procps is not on every machine.
		w.set("ExecReload",
			lineOf("", "/bin/sh", "-c", fmt.Sprintf(`kill -%s "$MAINPID"`, w.Reload)))
	}
	w.NoteIf(w.Chroot != "" && w.Reload != "", "chroot", "reload needs /bin/sh inside it")
}

// identity says who the process is and where.
func (w *writer) identity() {
	w.Use("user", "groups", "chroot", "chdir", "umask", "nice", "oom_score", "rlimit")
	user, group := w.UserGroup()
	for _, id := range []struct{ field, key, value string }{
		{"user", "User", user}, {"user", "Group", group}, {"chroot", "RootDirectory", w.Chroot},
	} {
		switch {
		case id.value == "":
		case w.opts.User:
			w.Note(id.field, "%s= is left out: the manager of a user has no right to it", id.key)
		default:
			w.raw(id.key, id.value)
		}
	}
	switch {
	case len(w.Groups) == 0:
	case w.opts.User:
		w.Note("groups", "left out: the manager of a user has no right to them")
	default:
		w.words("SupplementaryGroups", w.Groups...)
		w.Note("groups", "are added to the groups the user is in, not in place of them")
	}
	w.raw("WorkingDirectory", w.Chdir)
	w.set("UMask", *w.Umask)
	if w.Nice != nil {
		w.set("Nice", *w.Nice)
	}
	if w.OOMScore != nil {
		w.set("OOMScoreAdjust", *w.OOMScore)
	}
	for _, name := range spec.RlimitNames() {
		if limit, ok := w.Rlimit[name]; ok {
			w.set("Limit"+strings.ToUpper(string(name)), limitText(limit))
		}
	}
}

func limitText(l spec.Rlimit) string {
	text := func(n uint64) string {
		if n == spec.Unlimited {
			return "infinity"
		}
		return fmt.Sprint(n)
	}
	return text(l.Soft) + ":" + text(l.Hard)
}

// environment writes the variables, into a file of their own that root alone may read: a unit is
// everybody's to read, and systemctl show tells everybody what Environment= says. It comes after
// those of env_file, so it wins. systemd starts a service with few variables of its own, never with
// those of whoever asks for the start.
func (w *writer) environment() []writers.File {
	w.Use("env", "env_file", "pass_env")
	var text strings.Builder
	for _, name := range w.EnvNames() {
		if !writers.IsEnvName(name) {
			w.Note("env", "%q is left out: systemd passes on no variable of that name", name)
			continue
		}
		if _, bad := writers.FirstNot(w.Env[name], func(rune) bool { return true }); bad {
			w.errs = append(w.errs,
				fmt.Errorf(
					"env.%s: the value is not UTF-8, which that of a systemd service must be", name,
				))
			continue
		}
		fmt.Fprintf(&text, "%s=\"%s\"\n", name, envEscapes.Replace(w.Env[name]))
	}
	for _, file := range w.EnvFile {
		if strings.ContainsAny(file, `*?[\`) {
			w.errs = append(w.errs,
				fmt.Errorf("env_file: EnvironmentFile= takes %q for a pattern", file))
			continue
		}
		w.raw("EnvironmentFile", file)
	}
	w.NoteIf(w.ClearEnv,
		"clear_env", "systemd adds PATH, LANG, HOME, USER, LOGNAME, SHELL and INVOCATION_ID")
	if len(w.PassEnv) > 0 {
		w.words("PassEnvironment", w.PassEnv...)
	}
	if text.Len() == 0 {
		return nil
	}
	file := w.Name + ".env"
	if w.opts.User {
		// Target.UserDir, wherever the user's configuration is
		w.prefixed("EnvironmentFile", "%E/systemd/user/", file)
	} else {
		w.raw("EnvironmentFile", systemDir+"/"+file)
	}
	return []writers.File{{Path: file, Mode: 0o600, Content: []byte(text.String())}}
}

// envEscapes are what a backslash stands before in double quotes of an EnvironmentFile=
// (systemd.exec(5)).
var envEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`)
