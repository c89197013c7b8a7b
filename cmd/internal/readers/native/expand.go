package native

import (
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers"
)

// expand replaces the variables in text; see the package for the rules.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "{"):
			inside, rest, closed := strings.Cut(after[1:], "}")
			if !closed {
				return "", fmt.Errorf("${ is not closed: write $${ for a dollar sign and a brace")
			}
			value, err := variable(inside, lookup)
			if err != nil {
				return "", err
			}
			b.WriteString(value)
			text = rest
		case readers.NameLength(after) > 0:
			name := after[:readers.NameLength(after)]
			return "", fmt.Errorf("$%s is not expanded: write ${%s}, or $$%s for a dollar sign",
				name, name, name)
		default:
			b.WriteByte('$')
			text = after
		}
	}
}

// variable returns the value of what is between the braces.
func variable(inside string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if n := readers.NameLength(name); n == 0 || n != len(name) {
		return "", fmt.Errorf("${%s} is neither ${NAME} nor ${NAME:-TEXT}", inside)
	}
	if strings.Contains(fallback, "${") {
		return "", fmt.Errorf("${%s}: one variable cannot be inside another", inside)
	}
	value, ok := lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("variable %s is not set: write ${%s:-TEXT} for a default", name, name)
	}
	return value, nil
}
