package shell

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Script is a script for the POSIX shell that is being written.
type Script struct{ b strings.Builder }

// NewScript begins a script; a step that fails ends it.
func NewScript(interpreter string) *Script {
	s := &Script{}
	s.Line("#!%s", interpreter)
	return s
}

// Line adds a line; arguments must be quoted already.
func (s *Script) Line(format string, args ...any) {
	fmt.Fprintf(&s.b, format, args...)
	s.b.WriteByte('\n')
}

// Lines adds lines as they are.
func (s *Script) Lines(lines ...string) {
	for _, line := range lines {
		s.b.WriteString(line + "\n")
	}
}

// Bytes returns the script.
func (s *Script) Bytes() []byte { return []byte(s.b.String()) }

// special are variables that some shell keeps for itself, so that to assign
// them does something else, or fails.
var special = []string{
	"_", "BASHOPTS", "BASH_ENV", "CDPATH", "ENV", "EUID", "FCEDIT", "HISTFILE", "HISTSIZE", "IFS",
	"LINENO", "MAIL", "MAILCHECK", "MAILPATH", "OLDPWD", "OPTARG", "OPTIND", "PATH",
	"POSIXLY_CORRECT", "PPID", "PS1", "PS2", "PS4", "PWD", "SHELLOPTS", "UID",
}

// Environment returns the lines that export the service's variables, and the
// words of env(1), "NAME=VALUE", for those that a shell cannot hold; PATH is
// among these, so that the script's own tools are still found.
func Environment(a *writers.Account) (lines, words []string) {
	a.Use("env", "env_file")
	for _, file := range a.EnvFile {
		name, optional := strings.CutPrefix(file, "-")
		line := "set -a; . " + Quote(name) + "; set +a"
		if optional {
			line = "if [ -e " + Quote(name) + " ]; then " + line + "; fi"
		}
		lines = append(lines, line)
		a.Note("env_file",
			"the shell reads %s: it expands $ and backquotes, and runs what is no assignment", name)
	}
	for _, name := range a.EnvNames() {
		if !writers.IsEnvName(name) || slices.Contains(special, name) {
			words = append(words, name+"="+a.Env[name])
			continue
		}
		lines = append(lines, "export "+name+"="+Quote(a.Env[name]))
	}
	return lines, words
}

// Clear returns the line that starts the script once more in an empty
// environment, if the service asks for it; PATH and what it passes stay.
func Clear(a *writers.Account) []string {
	a.Use("clear_env", "pass_env")
	if !a.ClearEnv {
		return nil
	}
	line := `[ "$1" = --clean ] || exec env -i PATH="$PATH"`
	for _, name := range a.PassEnv {
		line += fmt.Sprintf(` ${%s+"%s=$%s"}`, name, name, name)
	}
	return []string{line + ` /bin/sh "$0" --clean`}
}

// Exec returns the command that becomes the program: tools first, which are
// shell text, then env(1) if variables need it.
func Exec(command spec.Command, env []string, tools ...string) string {
	words := slices.Clone([]string(command))
	// env would take a program with "=" in its name for a variable, and exec
	// one that begins with "-" for an option.
	if strings.Contains(words[0], "=") && len(env) > 0 {
		words = append([]string{"/bin/sh", "-c", `exec "$@"`, "sh"}, words...)
	}
	if len(env) > 0 || strings.HasPrefix(words[0], "-") {
		words = slices.Concat([]string{"env", "--"}, env, words)
	}
	return strings.Join(slices.Concat([]string{"exec"}, tools, []string{Join(words...)}), " ")
}

// ulimits are the options of ulimit with the unit of their numbers in bytes, 1
// for numbers that count something else. Those of dash, ash, bash and the BSDs
// agree on these; nproc is "-u" but for dash.
var ulimits = map[spec.RlimitName]struct {
	option string
	unit   uint64
}{
	"as": {"-v", 1024}, "core": {"-c", 512}, "cpu": {"-t", 1}, "data": {"-d", 1024},
	"fsize":   {"-f", 512},
	"memlock": {"-l", 1024}, "nofile": {"-n", 1}, "nproc": {"-u", 1}, "rss": {"-m", 1024},
	"stack": {"-s", 1024},
}

// Limits returns the lines that set resource limits.
func Limits(a *writers.Account) []string {
	a.Use("rlimit")
	var lines []string
	for _, name := range spec.RlimitNames() {
		limit, ok := a.Rlimit[name]
		if !ok {
			continue
		}
		u, ok := ulimits[name]
		if !ok {
			a.Note("rlimit", "%s is left out: the shell cannot set it", name)
			continue
		}
		options := []string{u.option}
		if name == "nproc" {
			options = append(options, "-p")
		}
		// Both first, then the soft one: a soft limit is never above the hard
		// one in between, whichever way they change.
		for _, part := range []struct {
			which string
			value uint64
		}{{"", limit.Hard}, {"-S ", limit.Soft}} {
			tries := writers.Each(options, func(option string) string {
				return "ulimit " + part.which + option + " " + limitText(part.value, u.unit)
			})
			lines = append(lines, strings.Join(tries, " 2>/dev/null || "))
		}
	}
	return lines
}

func limitText(n, unit uint64) string {
	if n == spec.Unlimited {
		return "unlimited"
	}
	return fmt.Sprint(n/unit + min(1, n%unit))
}

// Streams returns the redirections of the standard descriptors. What goes to
// the log stays on the descriptors that the target gave.
func Streams(a *writers.Account) []string {
	a.Use("stdin", "stdout", "stderr")
	var lines []string
	switch a.Stdin.Kind {
	case spec.StreamNull:
		lines = append(lines, "exec </dev/null")
	case spec.StreamPath:
		lines = append(lines, "exec <"+Quote(a.Stdin.Path))
	}
	lines = append(lines, redirect(">", a.Stdout)...)
	if a.Stderr.Kind == spec.StreamLog || a.Stderr.Kind == spec.StreamStdout ||
		a.Stderr == a.Stdout {
		if a.Stdout.Kind == spec.StreamLog || a.Stderr.Kind != spec.StreamLog {
			return append(lines, "exec 2>&1")
		}
		a.Note("stderr", "goes to where the manager's own goes: stdout is no log it could join")
	}
	return append(lines, redirect("2>", a.Stderr)...)
}

func redirect(to string, s spec.Stream) []string {
	switch s.Kind {
	case spec.StreamNull:
		return []string{"exec " + to + "/dev/null"}
	case spec.StreamPath:
		return []string{"exec " + strings.Replace(to, ">", ">>", 1) + Quote(s.Path)}
	case spec.StreamTruncate:
		return []string{"exec " + to + Quote(s.Path)}
	}
	return nil
}

// OnSuccess returns the lines that do something if the program has ended well: $1 is its exit code,
// or killed if a signal, $2, has ended it.
func OnSuccess(a *writers.Account, killed, do string) []string {
	codes := "0"
	for _, code := range a.Success.Codes {
		codes += fmt.Sprintf("|%d", code)
	}
	lines := []string{`case "$1" in`, codes + ") " + do + " ;;"}
	if len(a.Success.Signals) > 0 {
		names := writers.Each(a.Success.Signals, func(s spec.Signal) string { return string(s) })
		lines = append(lines, killed+`) case "$(kill -l "$2")" in `+strings.Join(names, "|")+
			") "+do+" ;; esac ;;")
	}
	return append(lines, "esac")
}

// Test returns a command that is true when a probe succeeds, "" if the shell
// has no means for it.
func Test(p spec.Probe) string {
	switch p.Kind {
	case spec.ProbeCmd:
		return Join(p.Argv()...)
	case spec.ProbeFile:
		return "test -e " + Quote(p.Target)
	case spec.ProbeUnix:
		if !strings.HasPrefix(p.Target, "@") {
			return "test -S " + Quote(p.Target)
		}
	}
	return ""
}
