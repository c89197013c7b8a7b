package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/spec"
)

func validateVerb(a *app) *verb {
	call := &fileCall{}
	return &verb{
		page: page{
			name:     "validate",
			short:    "check a file of services",
			synopsis: []string{"daemonry validate [--json] [FILE]"},
			about: []string{
				"Reads the file and those it includes as \"up\" would. Everything that is wrong is said, each on a line FILE:LINE:COLUMN: MESSAGE: also what only the supervisor of this machine could not do, as a user that does not exist, two services with one log file, and fields without effect. Nothing is started, and nothing asked of the supervisor.",
			},
			options: []group{{"", []option{{"json", "", "Print what is wrong as an array of objects.", "", toggle(&call.json)}}}},
			statuses: []row{
				{"0", "nothing is wrong with it"},
				{"1", "something is, or it cannot be read"},
				{"2", "wrong usage"},
			},
			examples: []row{{"daemonry validate web.toml", "Before \"up\":"}},
			seeAlso:  []string{"daemonry up", "docs/service.md"},
		},
		run: func(words []string) error { return a.validate(call, words) },
	}
}

func (a *app) validate(call *fileCall, words []string) error {
	if len(words) > 1 {
		return usagef("", "unexpected word %q", words[1])
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
	_, err = fmt.Fprintf(a.out, "%s: %s, nothing wrong\n", printable(file.Path), counted(len(spec.ExpandSet(file.Services)), "service"))
	return err
}

func (a *app) validateJSON(given string) error {
	_, err := openFile(given, native.Options{Judge: judge})
	var wrong native.Errors
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	list := []mistake{}
	for _, e := range wrong {
		list = append(list, mistake(e))
	}
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

// readSupervised reads a file of services for the supervisor, and refuses what that cannot do.
func (a *app) readSupervised(given string) (*native.File, error) {
	return a.readWith(given, native.Options{Judge: judge})
}

// readFile reads a file of services for whoever is to have them.
func (a *app) readFile(given string) (*native.File, error) {
	return a.readWith(given, native.Options{})
}

// readWith says what is wrong with the file, for editors to find the place: a line for each,
// "FILE:LINE:COLUMN: MESSAGE", and nothing before it.
func (a *app) readWith(given string, o native.Options) (*native.File, error) {
	file, err := openFile(given, o)
	var wrong native.Errors
	if !errors.As(err, &wrong) {
		return file, err
	}
	for _, e := range wrong {
		fmt.Fprintln(a.err, oneLine(e.Error()))
	}
	return nil, &statusError{status: exitFailed, err: fmt.Errorf("%s: %s", wrong[0].File, counted(len(wrong), "mistake"))}
}

func openFile(given string, o native.Options) (*native.File, error) {
	path, err := chooseFile(given)
	if err != nil {
		return nil, err
	}
	return native.Read(path, o)
}

// chooseFile is the absolute path of the file that is meant.
func chooseFile(given string) (string, error) {
	if given != "" {
		path, err := filepath.Abs(given)
		if err != nil {
			return "", err
		}
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			path = filepath.Join(path, native.DefaultName)
			_, err = os.Stat(path)
		}
		return path, err
	}
	here, err := filepath.Abs(native.DefaultName)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(here); !errors.Is(err, fs.ErrNotExist) {
		return here, err
	}
	p, err := paths.Find()
	if err != nil {
		return "", err
	}
	path := filepath.Join(p.Config, native.DefaultName)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	return "", &statusError{
		status: exitFailed,
		err:    fmt.Errorf("no %s here or in %s", native.DefaultName, p.Config),
		hint:   "name one: -f FILE",
	}
}
