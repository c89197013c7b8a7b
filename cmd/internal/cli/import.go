package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/cmd/internal/readers/procfile"
	"github.com/daemonry/daemonry/cmd/internal/readers/systemd"
	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/spec"
)

// importCall is what the words of "daemonry import" ask for.
type importCall struct {
	from, file string
	force      bool
}

func importVerb(a *app) *verb {
	call := &importCall{}
	return &verb{
		options: []group{{"", []option{
			{"from", "FORMAT", "by their names", parsed(&call.from, word)},
			{"o, output", "FILE", "standard output", parsed(&call.file, word)},
			{"force", "", "", toggle(&call.force)},
		}}},
		run: func(words []string) error { return a.importFiles(call, words) },
	}
}

func (a *app) importFiles(call *importCall, words []string) error {
	if len(words) == 0 {
		return usagef("no file given")
	}
	if call.force && call.file == "" {
		return usagef("--force without -o: there is nothing to replace")
	}
	format, err := importFormat(call.from, words)
	if err != nil {
		return err
	}
	var services []spec.Service
	var notes []systemd.Note
	switch {
	case format == "systemd":
		services, notes, err = systemd.Read(words...)
	case len(words) > 1:
		return usagef("%q: one Procfile at a time", words[1])
	default:
		services, notes, err = procfile.Read(words[0])
	}
	if err != nil {
		return a.mistakes(err)
	}
	text, err := formatted(services)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(a.err, oneLine(n.String()))
	}
	// What is for other managers stays in the file, since it may be for one; "up" refuses it.
	for _, problem := range spec.ValidateSupervised(services, nil, "") {
		fmt.Fprintln(a.err, oneLine(problem.String()))
	}
	if call.file == "" {
		_, err := a.out.Write(text)
		return err
	}
	return writeNew(call.file, text, call.force)
}

// importFormat is what the files are, which must be the same for all.
func importFormat(given string, files []string) (string, error) {
	switch given {
	case "systemd", "procfile":
		return given, nil
	case "":
	default:
		return "", usagef("--from: %q is none of systemd and procfile", given)
	}
	format := ""
	for _, file := range files {
		one, base := "", filepath.Base(file)
		switch {
		case slices.Contains([]string{".service", ".socket", ".timer"}, filepath.Ext(base)):
			one = "systemd"
		case strings.HasPrefix(base, "Procfile") || strings.HasSuffix(base, ".procfile"):
			one = "procfile"
		default:
			return "", usagef("%s: its name does not say what it is", file).
				advise("say it: --from systemd or --from procfile")
		}
		if format != "" && one != format {
			return "", usagef("%s is not of the same kind as %s", file, files[0])
		}
		format = one
	}
	return format, nil
}

// mistakes says what is wrong with files, a line for each, for editors to find the place.
func (a *app) mistakes(err error) error {
	var list interface{ Unwrap() []error }
	if !errors.As(err, &list) {
		return err
	}
	a.sayEach(list.Unwrap())
	return statusf(exitFailed, "nothing was imported")
}

func (a *app) sayEach(errs []error) {
	for _, err := range errs {
		if inner, ok := err.(interface{ Unwrap() []error }); ok {
			a.sayEach(inner.Unwrap())
		} else {
			fmt.Fprintln(a.err, oneLine(err.Error()))
		}
	}
}

// formatted is the file, which is read back before anybody relies on it.
func formatted(services []spec.Service) ([]byte, error) {
	text, err := native.Format(services)
	if err != nil {
		return nil, err
	}
	if _, err := native.Parse("/"+native.DefaultName, text, native.Options{}); err != nil {
		return nil, fmt.Errorf("what was made of it is no valid %s: %w", native.DefaultName, err)
	}
	return bytes.TrimLeft(text, "\n"), nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte, force bool) error {
	if _, err := os.Lstat(path); !force && !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return statusf(exitFailed, "%s: exists", path).advise("--force replaces it")
	}
	return atomicfile.Write(path, text, 0o644)
}
