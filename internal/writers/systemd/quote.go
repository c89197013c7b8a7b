package systemd

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daemonry/daemonry/spec"
)

// plain are the bytes that need no quotes anywhere in a unit.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@+=:,./-"

// quote returns one word of a value that systemd splits (systemd.syntax(7)):
// "%" is doubled, for specifiers are replaced; control characters and what is
// no UTF-8 become escapes, for a unit is text. "$" stays as it is: only command
// lines replace it, and ours say that they do not (see commandLine).
func quote(text string) string {
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '%':
			b.WriteString("%%")
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	b.WriteByte('"')
	return b.String()
}

// raw returns the value of a key that takes the rest of the line as it is, but
// for specifiers. Such a key has no word for what a line cannot hold: control
// characters, blanks at its ends, a backslash at its end.
func raw(key, text string) (string, error) {
	bad := strings.TrimSpace(text) != text || strings.HasSuffix(text, `\`) ||
		!utf8.ValidString(text) ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
	if bad {
		return "", fmt.Errorf("%s= cannot hold %q", key, text)
	}
	return strings.ReplaceAll(text, "%", "%%"), nil
}

// timespan writes a duration (systemd.time(7)) to the microsecond, rounded up.
func timespan(d spec.Duration) string {
	if d == spec.Forever {
		return "infinity"
	}
	switch t := time.Duration(d); {
	case t%time.Second == 0:
		return fmt.Sprintf("%ds", t/time.Second)
	case t%time.Millisecond == 0:
		return fmt.Sprintf("%dms", t/time.Millisecond)
	default:
		return fmt.Sprintf("%dus", (t+time.Microsecond-1)/time.Microsecond)
	}
}
