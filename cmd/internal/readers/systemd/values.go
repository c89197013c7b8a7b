package systemd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

var timeUnits = map[string]time.Duration{
	"us": time.Microsecond, "usec": time.Microsecond, "µs": time.Microsecond,
	"μs": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond, "": time.Second, "s": time.Second,
	"sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"month": month, "months": month, "M": month, "year": year, "years": year, "y": year,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	"week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// A month and a year have these lengths in systemd.time(7).
const (
	month = 2629800 * time.Second
	year  = 31557600 * time.Second
)

// parseTime reads a time span of systemd.time(7): "5min 20s", "1.5h", "90"
// (seconds), "infinity".
func parseTime(text string) (spec.Duration, error) {
	if text == "infinity" {
		return spec.Forever, nil
	}
	rest, total := strings.TrimSpace(text), 0.0
	if rest == "" {
		return 0, fmt.Errorf("there is no time in %q", text)
	}
	for rest != "" {
		end := strings.IndexFunc(rest,
			func(r rune) bool { return !strings.ContainsRune("0123456789.", r) })
		if end < 0 {
			end = len(rest)
		}
		number, err := strconv.ParseFloat(rest[:end], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time span", text)
		}
		rest = strings.TrimLeft(rest[end:], " \t")
		end = strings.IndexAny(rest, "0123456789 \t")
		if end < 0 {
			end = len(rest)
		}
		unit, ok := timeUnits[rest[:end]]
		if !ok {
			return 0, fmt.Errorf("%q is not a unit of time", rest[:end])
		}
		total += number * float64(unit)
		rest = strings.TrimLeft(rest[end:], " \t")
	}
	if total >= float64(spec.Forever) {
		return 0, fmt.Errorf("time span %q is too long", text)
	}
	return spec.Duration(total), nil
}

// parseBool reads what systemd takes for yes and no.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", text)
}

// parseSize reads a number of bytes; K, M, G, T count by 1024.
func parseSize(text string) (uint64, error) {
	if text == "infinity" {
		return spec.Unlimited, nil
	}
	number, unit := text, uint64(1)
	if text != "" {
		if at := strings.IndexByte("BKMGTPE", text[len(text)-1]); at >= 0 {
			number, unit = text[:len(text)-1], 1<<(10*at)
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || n*float64(unit) >= 1<<63 || n != n {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	if whole, err := strconv.ParseUint(number, 10, 64); err == nil {
		return whole * unit, nil
	}
	return uint64(n * float64(unit)), nil
}

// parseRlimit reads SOFT[:HARD]; only limits of bytes take a unit.
func parseRlimit(name spec.RlimitName, text string) (spec.Rlimit, error) {
	soft, hard, both := strings.Cut(text, ":")
	if !both {
		hard = soft
	}
	var l spec.Rlimit
	var err error
	if l.Soft, err = rlimitValue(name, soft); err == nil {
		l.Hard, err = rlimitValue(name, hard)
	}
	if err == nil && l.Soft > l.Hard {
		err = fmt.Errorf("soft limit %s is above hard limit %s", soft, hard)
	}
	return l, err
}

func rlimitValue(name spec.RlimitName, text string) (uint64, error) {
	if name != "cpu" && name != "rttime" || text == "infinity" {
		return parseSize(text)
	}
	d, err := parseTime(text)
	if name == "rttime" {
		// A bare number is microseconds for this one alone (systemd.exec(5)).
		if n, numErr := strconv.ParseUint(text, 10, 64); numErr == nil {
			return n, nil
		}
		return uint64(time.Duration(d).Microseconds()), err
	}
	return uint64((time.Duration(d) + time.Second - 1) / time.Second), err
}

// commandLine is one command of an Exec key.
type commandLine struct {
	prefixes string // of "@-:+!"
	words    []string
}

// parseCommand reads the value of an Exec key, which a word ";" may divide into
// several commands.
func parseCommand(text string) ([]commandLine, error) {
	var all []commandLine
	for rest := text; ; {
		trimmed := strings.TrimLeft(rest, "@-:+!| \t")
		one := commandLine{prefixes: strings.ReplaceAll(rest[:len(rest)-len(trimmed)], " ", "")}
		list, err := words(trimmed)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("there is no program in %q", text)
		}
		one.words = list
		// A ";" of its own divides; "\;" is a word.
		if at := divider(trimmed); at >= 0 {
			if one.words, err = words(trimmed[:at]); err != nil || len(one.words) == 0 {
				return nil, fmt.Errorf("there is no program before ; in %q", text)
			}
			all = append(all, one)
			if rest = strings.TrimSpace(trimmed[at+1:]); rest == "" {
				return all, nil
			}
			continue
		}
		for i, word := range one.words {
			if word == `\;` {
				one.words[i] = ";"
			}
		}
		return append(all, one), nil
	}
}

// divider returns the offset of a ";" that stands alone outside quotes, or -1.
func divider(text string) int {
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ';' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') &&
			(i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\t'):
			return i
		}
	}
	return -1
}

// toCommand turns the words of a command line into a command. systemd replaces
// ${NAME} by the variable and $NAME, as a word of its own, by its words, when it
// starts the program; here a shell does so, told not to expand anything else.
func toCommand(list []string, literal bool) spec.Command {
	if literal || !strings.Contains(strings.Join(list, ""), "$") {
		return list
	}
	quoted := make([]string, len(list))
	needsShell := false
	for i, word := range list {
		var variable bool
		quoted[i], variable = shellWord(word)
		needsShell = needsShell || variable
	}
	if !needsShell {
		plain := make(spec.Command, len(list))
		for i, word := range list {
			plain[i] = strings.ReplaceAll(word, "$$", "$")
		}
		return plain
	}
	return spec.Command{"/bin/sh", "-c", "set -f; exec " + strings.Join(quoted, " ")}
}

// shellWord writes a word for a shell and tells whether a variable is in it.
func shellWord(word string) (string, bool) {
	if name := strings.TrimPrefix(word, "$"); name != word && name != "" &&
		readers.NameLength(name) == len(name) {
		return word, true
	}
	var b strings.Builder
	variable := false
	for rest := word; rest != ""; {
		before, after, found := strings.Cut(rest, "$")
		if before != "" {
			b.WriteString(quote(before))
		}
		if !found {
			break
		}
		if inside, tail, ok := strings.Cut(strings.TrimPrefix(after, "{"), "}"); ok &&
			after[0] == '{' && inside != "" && readers.NameLength(inside) == len(inside) {
			b.WriteString(`"${` + inside + `}"`)
			rest, variable = tail, true
			continue
		}
		b.WriteString(`'$'`)
		rest = strings.TrimPrefix(after, "$")
	}
	if b.Len() == 0 {
		return "''", variable
	}
	return b.String(), variable
}

func quote(text string) string { return spec.Command{text}.String() }
