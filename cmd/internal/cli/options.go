package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parsed makes the setter of an option whose text parse reads.
func parsed[T any](dst *T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*dst = v
		}
		return err
	}
}

// parsedTo is parsed for a field that is nil where nothing was asked for.
func parsedTo[T any](dst **T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*dst = &v
		}
		return err
	}
}

// appended makes the setter of an option that may be given several times.
func appended[T any](dst *[]T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err == nil {
			*dst = append(*dst, v)
		}
		return err
	}
}

func toggle(dst *bool) func(string) error { return parsed(dst, strconv.ParseBool) }

func word(text string) (string, error) {
	if text == "" {
		return "", errors.New("is empty")
	}
	return text, nil
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}

// options are those of a command.
type options []group

// group is options that belong together, under a title that may be empty.
type group struct {
	title   string
	options []option
}

// option is one option of a command.
type option struct {
	name string // "file", or "f, file" if a letter stands for it too
	arg  string // stands for its value in help; "" is a switch
	def  string // its default as help shows it; "" for none
	set  func(string) error
}

func (all options) named(name string) (option, bool) {
	for _, g := range all {
		if i := slices.IndexFunc(g.options, func(o option) bool {
			return o.long() == name || name != "" && o.letter() == name
		}); i >= 0 {
			return g.options[i], true
		}
	}
	return option{}, false
}

func (all options) names() []string {
	var names []string
	for _, g := range all {
		for _, o := range g.options {
			names = append(names, o.long())
		}
	}
	return names
}

// long is the option's name, without the letter.
func (o option) long() string {
	if _, long, ok := strings.Cut(o.name, ", "); ok {
		return long
	}
	return o.name
}

// letter stands for the option, if it is not "".
func (o option) letter() string {
	letter, _, ok := strings.Cut(o.name, ", ")
	if !ok {
		return ""
	}
	return letter
}

// term is the option as one types it.
func (o option) term() string {
	term := "--" + o.long()
	if o.letter() != "" {
		term = "-" + o.letter() + ", " + term
	}
	if o.arg == "" {
		return term
	}
	return term + " " + o.arg
}
