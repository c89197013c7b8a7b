package systemd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/cmd/internal/readers"
)

// entry is one assignment of a unit.
type entry struct {
	section, key, value string
	file                string
	line                int
}

// name is the key with its section.
func (e entry) name() string { return e.section + "." + e.key }

func (e entry) note(format string, args ...any) Note {
	return readers.Notef(e.file, e.line, e.name(), format, args...)
}

// parseLines reads the syntax of systemd.syntax(7): sections, assignments,
// comments, and lines that a backslash continues.
func parseLines(path, text string) ([]entry, error) {
	var (
		entries []entry
		errs    []error
		section string
	)
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	for i := 0; i < len(lines); {
		first := i + 1
		var line string
		line, i = logicalLine(lines, i)
		switch {
		case line == "":
		case line[0] == '[':
			if name, ok := strings.CutSuffix(line[1:], "]"); ok && name != "" &&
				!strings.ContainsAny(name, "[]") {
				section = name
			} else {
				errs = append(errs, readers.Errorf(path, first, "%q is not a section", line))
			}
		default:
			key, value, ok := strings.Cut(line, "=")
			key = strings.TrimSpace(key)
			switch {
			case !ok || key == "":
				errs = append(errs, readers.Errorf(path, first, "%q is not KEY=VALUE", line))
			case section == "":
				errs = append(errs,
					readers.Errorf(path, first, "%s= stands before any section", key))
			case strings.ContainsRune(value, 0) || !utf8.ValidString(line):
				errs = append(errs, readers.Errorf(path, first, "%s= is not text", key))
			default:
				entries = append(entries,
					entry{section, key, strings.TrimSpace(value), path, first})
			}
		}
	}
	return entries, errors.Join(errs...)
}

// logicalLine joins the line at index i with those that continue it, comments
// between them left out, and returns it with the index of the next one.
func logicalLine(lines []string, i int) (string, int) {
	line := strings.TrimSpace(lines[i])
	i++
	if isComment(line) {
		return "", i
	}
	var b strings.Builder
	for strings.HasSuffix(line, `\`) {
		b.WriteString(strings.TrimSuffix(line, `\`) + " ")
		for i < len(lines) && isComment(strings.TrimSpace(lines[i])) {
			i++
		}
		if line = ""; i < len(lines) {
			line = strings.TrimSpace(lines[i])
			i++
		}
	}
	b.WriteString(line)
	return strings.TrimSpace(b.String()), i
}

func isComment(line string) bool { return line != "" && (line[0] == '#' || line[0] == ';') }

// words splits a value at blanks. Quotes, single or double, keep blanks; the
// escapes of C are undone in and out of quotes, unknown ones stay as they are
// (systemd.syntax(7), systemd.service(5) "Command lines").
func words(text string) ([]string, error) {
	var (
		out    []string
		b      strings.Builder
		inWord bool
		quote  byte
	)
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if inWord {
				out, inWord = append(out, b.String()), false
				b.Reset()
			}
			i++
		case c == '\\':
			n, err := unescape(&b, text[i:])
			if err != nil {
				return nil, err
			}
			i, inWord = i+n, true
		case c == quote:
			quote = 0
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
			i++
		default:
			b.WriteByte(c)
			i, inWord = i+1, true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	if inWord {
		out = append(out, b.String())
	}
	return out, nil
}

// simpleEscapes are those of one character, with what they stand for.
const simpleEscapes = "abfnrtv\\\"'s"

const simpleValues = "\a\b\f\n\r\t\v\\\"' "

// unescape writes what the escape at the start of s stands for and returns its
// length.
func unescape(b *strings.Builder, s string) (int, error) {
	if len(s) == 1 {
		return 0, errors.New("the value ends in a backslash")
	}
	if at := strings.IndexByte(simpleEscapes, s[1]); at >= 0 {
		b.WriteByte(simpleValues[at])
		return 2, nil
	}
	digits, base := 0, 16
	start := 2
	switch s[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case '0', '1', '2', '3':
		digits, base, start = 3, 8, 1
	}
	if digits > 0 && len(s) >= start+digits {
		n, err := strconv.ParseUint(s[start:start+digits], base, 32)
		switch {
		case err != nil:
		case n == 0:
			return 0, errors.New("an escape stands for NUL")
		case digits <= 3:
			b.WriteByte(byte(n))
			return start + digits, nil
		case utf8.ValidRune(rune(n)):
			b.WriteRune(rune(n))
			return start + digits, nil
		}
	}
	b.WriteByte('\\')
	return 1, nil
}

// unitName is what specifiers say of a unit.
type unitName struct {
	full, prefix, instance string
}

func newUnitName(name string) unitName {
	prefix, instance, isTemplate := strings.Cut(name, "@")
	if isTemplate && instance == "" {
		instance = "{instance}"
	}
	return unitName{name, prefix, instance}
}

// expand replaces specifiers (systemd.unit(5)). Those of directories have their
// values for system units. It returns those too that only the machine knows,
// which stay as they are.
func (u unitName) expand(text string) (string, []string) {
	var (
		b       strings.Builder
		unknown []string
	)
	for {
		before, after, found := strings.Cut(text, "%")
		b.WriteString(before)
		if !found {
			return b.String(), unknown
		}
		if after == "" { // as in "80%"; systemd leaves it too
			b.WriteByte('%')
			return b.String(), unknown
		}
		if value, ok := u.specifier(after[0]); ok {
			b.WriteString(value)
		} else {
			b.WriteString("%" + after[:1])
			unknown = append(unknown, "%"+after[:1])
		}
		text = after[1:]
	}
}

func (u unitName) specifier(c byte) (string, bool) {
	switch c {
	case '%':
		return "%", true
	case 'n':
		return u.full + ".service", true
	case 'N':
		return u.full, true
	case 'p', 'P':
		return u.prefix, true
	case 'i', 'I':
		return u.instance, true
	}
	value, ok := map[byte]string{
		't': "/run", 'S': "/var/lib", 'C': "/var/cache", 'L': "/var/log", 'E': "/etc", 'T': "/tmp",
		'V': "/var/tmp", 'h': "/root", // of the manager's user, whatever User= says
	}[c]
	return value, ok
}
