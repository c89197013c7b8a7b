package native

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// place is where something stands in a file. Columns count bytes from 1.
type place struct {
	file      string
	line, col int
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.col) }

// Error is one thing that is wrong with a file.
type Error struct {
	File      string
	Line, Col int // from 1; columns count bytes
	Message   string
	Hint      string // what to write instead; may be empty
}

// Error returns "FILE:LINE:COL: MESSAGE: HINT".
func (e Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}

// Errors are all that is wrong, one a line, in the order of the files.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the errors by place, files in the order given, each once: what
// is wrong in [defaults] is found again with every service.
func (e Errors) sorted(files []string) Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(e)
}

func (e *Errors) add(at place, hint, format string, args ...any) {
	*e = append(*e, Error{at.file, at.line, at.col, fmt.Sprintf(format, args...), hint})
}
