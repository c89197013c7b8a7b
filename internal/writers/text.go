package writers

import (
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
