package native

import (
	"bytes"
	"strings"
)

// inWords says in a person's words what the parser has found in the commonest mistakes: a text
// without quotation marks, most of all.
func (e *Error) inWords(data []byte) {
	lines := bytes.SplitN(data, []byte("\n"), e.Line+1)
	if e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Col > len(lines[e.Line-1])+1 {
		return
	}
	line := strings.TrimRight(string(lines[e.Line-1]), "\r")
	e.Col = min(e.Col, len(line)+1)
	key, value, ok := keyAndValue(line)
	start := value
	if !ok || value != "" && strings.ContainsRune("[{", rune(value[0])) {
		key, start = "", line[e.Col-1:] // an element of an array, or of an inline table
	}
	switch {
	case strings.HasPrefix(e.Message, "invalid escape character"):
		e.Hint = `a backslash stands for itself in '…'; in "…" write two`
	case strings.Contains(e.Message, "strings cannot have new lines"), strings.HasPrefix(e.Message,
		"unterminated "):
		e.Message, e.Hint = "the text is not closed on its line",
			`close it with the mark that it begins with; """ and ''' go over lines`
	case strings.HasPrefix(e.Message, "expected '=' after key"):
		e.Hint = "write KEY = VALUE"
	case ok && (value == "" || value[0] == '#'):
		e.Message, e.Hint = named(key, "there is no value"), `write "" for an empty text`
	case strings.HasPrefix(start, "“"), strings.HasPrefix(start, "„"),
		strings.HasPrefix(start, "‘"), strings.HasPrefix(start, "”"), strings.HasPrefix(start, "’"):
		e.Message, e.Hint = named(key, "these quotation marks are for people"), `write " or '`
	case start != "" && (key != "" || strings.Contains(e.Message, "at start of value")) &&
		!strings.ContainsRune(`"'`, rune(start[0])):
		e.unquoted(key, start)
	}
}

// unquoted is about a text that begins here, without a quotation mark.
func (e *Error) unquoted(key, start string) {
	end := " #"
	if key == "" {
		end = ",]}#"
	}
	text := start
	if at := strings.Index(start, end); key != "" && at >= 0 {
		text = start[:at]
	} else if at := strings.IndexAny(start, end); key == "" && at >= 0 {
		text = start[:at]
	}
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, "\"'\\") {
		return
	}
	e.Message, e.Hint = named(key, "a text stands in quotation marks"), "write "+assigned(key, text)
	switch strings.ToLower(text) {
	case "yes", "on", "true":
		e.Message, e.Hint = named(key, "neither a text in quotation marks nor true"), "write "+
			assigned(key, text)+" or true"
	case "no", "off", "false":
		e.Message, e.Hint = named(key, "neither a text in quotation marks nor false"), "write "+
			assigned(key, text)+" or false"
	}
}

func named(key, message string) string {
	if key == "" {
		return message
	}
	return key + ": " + message
}

func assigned(key, text string) string {
	if key == "" {
		return `"` + text + `"`
	}
	return key + ` = "` + text + `"`
}

// keyAndValue takes a line apart that begins with a key without quotation marks.
func keyAndValue(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	bare := func(r rune) bool {
		return r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' ||
			r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	if !ok || key == "" || strings.ContainsFunc(key, func(r rune) bool { return !bare(r) }) {
		return "", "", false
	}
	return key, strings.TrimSpace(value), true
}
