package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a description.
type Problem struct {
	Service string `json:"service,omitzero"` // its name; empty if it is about all
	Field   string `json:"field,omitzero"`   // its path by JSON names, as in "sockets[0].listen"
	Message string `json:"message"`
	Hint    string `json:"hint,omitzero"` // what to write instead; may be empty
}

// String returns "SERVICE: FIELD: MESSAGE: HINT" without the empty parts.
func (p Problem) String() string {
	parts := []string{p.Service, p.Field, p.Message, p.Hint}
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	return strings.Join(parts, ": ")
}

// Problems is an error that names each problem on a line of its own.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns p as an error, nil if there is no problem.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// problems collects the problems of one service.
type problems struct {
	service string
	list    Problems
}

func (p *problems) add(field, format string, args ...any) {
	p.hint(field, "", format, args...)
}

func (p *problems) hint(field, hint, format string, args ...any) {
	p.list = append(p.list, Problem{p.service, field, fmt.Sprintf(format, args...), hint})
}

// err adds an error, with its hint if it has one; nil is no problem.
func (p *problems) err(field string, err error) {
	if h, ok := errors.AsType[*HintError](err); ok {
		p.hint(field, h.Hint, "%s", h.Message)
	} else if err != nil {
		p.add(field, "%s", err)
	}
}

// HintError is an error with advice on what to write instead.
type HintError struct {
	Message string
	Hint    string // may be empty
}

func (e *HintError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

// hintf is [fmt.Errorf] for a HintError.
func hintf(hint, format string, args ...any) error {
	return &HintError{Message: fmt.Sprintf(format, args...), Hint: hint}
}
