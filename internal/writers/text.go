package writers

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daemonry/daemonry/spec"
)

// Program returns where the program of a command is: relative paths are taken
// from the working directory, as everywhere; a name without a slash stays, for
// the target to search.
func (a *Account) Program(c spec.Command) string {
	if strings.Contains(c[0], "/") && !path.IsAbs(c[0]) {
		return path.Join(a.Chdir, c[0])
	}
	return c[0]
}

// UserGroup returns the two parts of User.
func (a *Account) UserGroup() (user, group string) {
	user, group, _ = strings.Cut(a.User, ":")
	return user, group
}

// EnvNames returns the names of Env, sorted.
func (a *Account) EnvNames() []string { return slices.Sorted(maps.Keys(a.Env)) }

// StopTotal is the time from the first signal to KILL.
func (a *Account) StopTotal() spec.Duration {
	var total spec.Duration
	for _, step := range a.Stop {
		if total = total + step.Wait; step.Wait == spec.Forever || total < 0 {
			return spec.Forever
		}
	}
	return total
}

// Seconds returns d in whole seconds, rounded up: a wait of 100ms that became
// none would be another wait. Forever is a year, for targets without a word
// for it.
func Seconds(d spec.Duration) int {
	const year = 365 * 24 * 3600
	if d == spec.Forever {
		return year
	}
	return int(min(year, math.Ceil(time.Duration(d).Seconds())))
}

// Each returns what f makes of each element.
func Each[T, U any](list []T, f func(T) U) []U {
	made := make([]U, len(list))
	for i, element := range list {
		made[i] = f(element)
	}
	return made
}

// OutputFiles are those of standard output and standard error, for a target that has the log in
// files.
func (a *Account) OutputFiles() (out, err string) {
	file := func(s spec.Stream, log string) string {
		switch {
		case s.Kind == spec.StreamPath || s.Kind == spec.StreamTruncate:
			return s.Path
		case s.Kind == spec.StreamNull || a.Log.Targets[0].Kind == spec.TargetNone:
			return "/dev/null"
		case log != "":
			return log
		}
		return "/var/log/" + a.Name + ".log"
	}
	out, err = file(a.Stdout, a.Log.File), file(a.Stderr, a.Log.ErrorFile)
	if a.Stderr.Kind == spec.StreamStdout ||
		a.Stderr.Kind == spec.StreamLog && a.Log.ErrorFile == "" {
		err = out
	}
	return out, err
}

// NoteStreams tells what becomes otherwise of the standard descriptors where OutputFiles are.
func (a *Account) NoteStreams() {
	for _, stream := range []struct {
		field string
		kind  spec.StreamKind
	}{{"stdin", a.Stdin.Kind}, {"stdout", a.Stdout.Kind}, {"stderr", a.Stderr.Kind}} {
		switch stream.kind {
		case spec.StreamInherit:
			a.Note(stream.field, "there is nobody to inherit from")
		case spec.StreamTruncate:
			a.Note(stream.field, "is appended to, not emptied first")
		}
	}
	if a.Says("log.targets") && a.Log.Targets[0].Kind != spec.TargetNone {
		a.Note("log.targets", "the output goes to a file")
	}
}

// LogFile is the one file of the output, for a target that has no other.
func (a *Account) LogFile() string {
	a.Use("log.targets", "log.file")
	switch {
	case a.Log.Targets[0].Kind == spec.TargetNone:
		return "/dev/null"
	case a.Log.File != "":
		return a.Log.File
	}
	if a.Says("log.targets") {
		a.Note("log.targets", "the output goes to /var/log/%s.log", a.Name)
	}
	return "/var/log/" + a.Name + ".log"
}

// DoubleQuoted writes a text between double quotes, with the escapes that YAML and HCL have in
// common for what is not printable, what a reader may take for a line break, and what is special.
func DoubleQuoted(
	format, text string, special func(at int, r rune) bool,
) (string, error) {
	if r, bad := FirstNot(text, func(rune) bool { return true }); bad {
		return "", fmt.Errorf("%s cannot hold %U in %.40q", format, r, text)
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff,
			special(i, r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}

// IsEnvName tells whether a shell can have a variable of that name.
func IsEnvName(name string) bool {
	for i, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// FirstNot returns the first character of text that does not satisfy ok, for
// errors; a byte that is no UTF-8 is utf8.RuneError.
func FirstNot(text string, ok func(rune) bool) (rune, bool) {
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size <= 1 || !ok(r) {
			return r, true
		}
	}
	return 0, false
}
