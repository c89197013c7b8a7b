package spec

import (
	"encoding/json"
	"strings"
)

// Command is a program and its arguments. In JSON and TOML it is an array, or
// a text that [Split] takes apart; it is never given to a shell.
type Command []string

// UnmarshalText is Split.
func (c *Command) UnmarshalText(text []byte) error { return parseInto(c, text, ParseCommand) }

// ParseCommand is Split under the name the other texts have.
func ParseCommand(text string) (Command, error) {
	words, err := Split(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, hintf("", "the command is empty")
	}
	return words, nil
}

// UnmarshalJSON takes an array of texts or one text.
func (c *Command) UnmarshalJSON(data []byte) error {
	if text, err := jsonText(data); err == nil {
		return c.UnmarshalText([]byte(text))
	}
	var words []string
	if err := json.Unmarshal(data, &words); err != nil {
		return hintf(`write ["prog", "arg"] or "prog arg"`,
			"a command is an array of texts or one text")
	}
	*c = words
	return nil
}

// String returns a text that Split takes apart into the same words.
func (c Command) String() string {
	quoted := make([]string, len(c))
	for i, word := range c {
		quoted[i] = quoteWord(word)
	}
	return strings.Join(quoted, " ")
}

// Characters that a shell would act upon. An unquoted one is refused, because
// whoever wrote it expects a shell. Globs, "~" and "$" stand for themselves.
const shellOperators = "|&;<>()`"

const shellHint = `quote it, or run a shell: ["sh", "-c", "…"]`

// Split takes text apart as a POSIX shell does (Shell Command Language,
// section 2.2): blanks and newlines separate words; '…' keeps everything;
// "…" keeps everything but \ before $ ` " \ and newline; \ outside quotes keeps
// the next character, and a newline after it is a continuation. Nothing is
// expanded. Unquoted operators and comments are refused.
func Split(text string) ([]string, error) {
	var (
		words  []string
		word   strings.Builder
		inWord bool
	)
	if strings.ContainsRune(text, 0) {
		return nil, hintf("", "a command cannot contain a NUL")
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				words, inWord = append(words, word.String()), false
				word.Reset()
			}
			i++
		case c == '\'' || c == '"':
			n, err := quoted(&word, text[i:])
			if err != nil {
				return nil, err
			}
			i, inWord = i+n, true
		case c == '\\':
			if i+1 == len(text) {
				return nil, hintf("", "the command ends in a backslash")
			}
			if text[i+1] != '\n' {
				word.WriteByte(text[i+1])
				inWord = true
			}
			i += 2
		case strings.IndexByte(shellOperators, c) >= 0, c == '#' && !inWord:
			return nil, hintf(shellHint, "unquoted %q in a command, which no shell reads", c)
		default:
			word.WriteByte(c)
			i, inWord = i+1, true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted copies the quoted text at the start of s into word and returns its
// length with the quotes.
func quoted(word *strings.Builder, s string) (int, error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return i + 1, nil
		case c == '\\' && quote == '"' && i+1 < len(s) && s[i+1] == '\n':
			i++
		case c == '\\' && quote == '"' && i+1 < len(s) && strings.IndexByte("$`\"\\", s[i+1]) >= 0:
			i++
			word.WriteByte(s[i])
		default:
			word.WriteByte(c)
		}
	}
	return 0, hintf("", "the quote %c in a command is not closed", quote)
}

// quoteWord quotes a word if a shell, ours or a real one, would not take it as
// it is.
func quoteWord(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
