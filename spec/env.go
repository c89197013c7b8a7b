package spec

import (
	"fmt"
	"strings"
)

// ParseEnv reads the text of an environment file and returns its variables in
// order as "NAME=VALUE"; of a name given twice both are there.
//
// A line is NAME=VALUE, optionally after "export "; blank lines and lines that
// begin with "#" or ";" are skipped. A value may be in '…' (all of it as it is,
// over several lines too) or in "…" (\n, \t, \r, \\, \", \$ and \` stand for one
// character); otherwise it is the rest of the line without the blanks around it
// and without a comment that a blank and "#" begin. Nothing is expanded.
//
// Errors say "line N: …", and nothing of what is in the file: values are secrets, and what was
// taken for an environment file may be another file altogether.
func ParseEnv(text string) ([]string, error) {
	var vars []string
	text = strings.TrimPrefix(text, "\ufeff")
	for line := 1; text != ""; {
		used, v, err := envLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if v != "" {
			vars = append(vars, v)
		}
		line += strings.Count(text[:used], "\n")
		text = text[used:]
	}
	return vars, nil
}

// envLine reads one assignment at the start of text. It returns the number of
// bytes used, with the newline, and "" for a line without one.
func envLine(text string) (used int, v string, err error) {
	first, _, _ := strings.Cut(text, "\n")
	end := min(len(first)+1, len(text))
	trimmed := strings.TrimSpace(first)
	if trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';' {
		return end, "", nil
	}
	name, _, ok := strings.Cut(first, "=")
	at := len(name) + 1
	name = strings.TrimSpace(name)
	if rest, isExport := strings.CutPrefix(name, "export "); isExport {
		name = strings.TrimSpace(rest)
	}
	if !ok {
		return 0, "", hintf("write NAME=VALUE", "there is no =")
	}
	if checkEnvName(name) != nil {
		return 0, "", hintf("letters, digits and _, not beginning with a digit",
			"what is before the = is not the name of a variable")
	}
	for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
		at++
	}
	value := ""
	if at < len(text) && (text[at] == '"' || text[at] == '\'') {
		n, quoted, err := envQuoted(text[at:])
		if err != nil {
			return 0, "", err
		}
		value, at = quoted, at+n
		rest, _, _ := strings.Cut(text[at:], "\n")
		if after := strings.TrimSpace(rest); after != "" && after[0] != '#' {
			return 0, "", hintf("", "something follows the closing quote of a value")
		}
		end = min(at+len(rest)+1, len(text))
	} else {
		value = plainEnvValue(first[min(at, len(first)):])
	}
	if strings.ContainsRune(value, 0) {
		return 0, "", hintf("", "a value contains a NUL")
	}
	return end, name + "=" + value, nil
}

func plainEnvValue(s string) string {
	if i := strings.Index(s, " #"); i >= 0 {
		s = s[:i]
	}
	if i := strings.Index(s, "\t#"); i >= 0 {
		s = s[:i]
	}
	if strings.HasPrefix(s, "#") {
		s = ""
	}
	return strings.TrimSpace(s)
}

// envQuoted reads the quoted text at the start of s and returns its length
// with the quotes.
func envQuoted(s string) (int, string, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i + 1, b.String(), nil
		case s[i] == '\\' && s[0] == '"' && i+1 < len(s):
			i++
			if at := strings.IndexByte("ntr\\\"$`", s[i]); at >= 0 {
				b.WriteByte("\n\t\r\\\"$`"[at])
			} else {
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return 0, "", hintf("", "the quote %c is not closed", s[0])
}

// checkEnvName wants a name that every program and shell can use.
func checkEnvName(name string) error {
	if name == "" || !isName(name, "_") || name[0] >= '0' && name[0] <= '9' {
		return hintf("letters, digits and _, not beginning with a digit",
			"%q is not the name of a variable", name)
	}
	return nil
}
