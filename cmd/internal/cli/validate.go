package cli

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/spec"
)

func validateVerb(a *app) *verb {
	call := &fileCall{}
	return &verb{
		options: []group{{"", []option{{"json", "", "", toggle(&call.json)}}}},
		run:     func(words []string) error { return a.validate(call, words) },
	}
}

func (a *app) validate(call *fileCall, words []string) error {
	if len(words) > 1 {
		return usagef("unexpected word %q", words[1])
	}
	if len(words) == 1 {
		call.file = words[0]
	}
	if call.json {
		return a.validateJSON(call.file)
	}
	file, err := a.readSupervised(call.file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %s, nothing wrong\n", printable(file.Path),
		counted(len(spec.ExpandSet(file.Services)), "service"))
	return err
}

func (a *app) validateJSON(given string) error {
	_, err := openFile(given, native.Options{Judge: judge})
	wrong, ok := errors.AsType[native.Errors](err)
	if err != nil && !ok {
		return err
	}
	list := each(wrong, func(e native.Error) mistake { return mistake(e) })
	if err := a.writeJSON(list); err != nil || len(list) == 0 {
		return err
	}
	return &statusError{status: exitFailed}
}

// mistake is what is wrong with a file, as "validate --json" shows it.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}
