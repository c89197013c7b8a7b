// Package procfile reads a Procfile, and the .env beside it, into services.
//
// A line is NAME: COMMAND; blank lines and those that begin with "#" are
// skipped. Each becomes a service in the directory of the file, as foreman(1)
// runs it: with the variables of .env, with PORT 5000, 5100, … (or counted from
// the PORT in .env), and by a shell where the command needs one. What a
// Procfile cannot say has the defaults of [spec].
package procfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

// maxSize bounds what is read: a Procfile is a few lines.
const maxSize = 1 << 20

// maxServices is more than anybody runs from a Procfile.
const maxServices = 1000

type (
	// Error is one line that is wrong.
	Error = readers.Error
	// Note says where a service differs from what other tools make of its line.
	Note = readers.Note
)

// Read reads the Procfile at path. The error joins an [Error] for every line
// that is wrong.
func Read(path string) ([]spec.Service, []Note, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	text, err := readers.Text(path, maxSize)
	if err != nil {
		return nil, nil, err
	}
	env := filepath.Join(filepath.Dir(path), ".env")
	envText, err := readers.Text(env, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		env, err = "", nil
	}
	if err != nil {
		return nil, nil, err
	}
	return parse(path, text, env, envText)
}

// foreman counts the ports of the lines from here, by hundreds.
const firstPort, portStep = 5000, 100

// parse makes services of the text of a Procfile; env is the path of .env, ""
// if there is none.
func parse(path, text, env, envText string) ([]spec.Service, []Note, error) {
	var (
		services []spec.Service
		notes    []Note
		errs     []error
	)
	port, err := portOf(envText)
	if err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", env, err))
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if len(services)+len(errs) > maxServices {
			return nil, nil, errors.Join(append(errs,
				readers.Errorf(path, n, "more than %d lines NAME: COMMAND", maxServices))...)
		}
		s, err := service(line)
		if err == nil && slices.ContainsFunc(services,
			func(have spec.Service) bool { return have.Name == s.Name }) {
			err = fmt.Errorf("there are two lines %q", s.Name)
		}
		if err != nil {
			errs = append(errs, readers.Errorf(path, n, "%s", err))
			continue
		}
		if env != "" {
			s.EnvFile = []string{env}
		}
		s.Env = map[string]string{"PORT": strconv.Itoa(port + portStep*len(services))}
		if s.Name == "release" {
			s.Type, s.Autostart = spec.Oneshot, new(false)
			notes = append(notes, readers.Notef(path, n, "", "release runs at each deployment "+
				"elsewhere; here it waits for \"daemonry start release\""))
		}
		services = append(services, s.Resolve(filepath.Dir(path)))
	}
	if len(services) == 0 && len(errs) == 0 {
		errs = append(errs, readers.Errorf(path, max(n, 1), "there is no line NAME: COMMAND"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return services, notes, spec.ValidateSet(services).Err()
}

// portOf returns the first port: the one that .env asks for.
func portOf(envText string) (int, error) {
	vars, err := spec.ParseEnv(envText)
	if err != nil {
		return 0, err
	}
	port := firstPort
	for _, v := range vars {
		if text, ok := strings.CutPrefix(v, "PORT="); ok {
			if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
				return 0, fmt.Errorf("PORT=%s is not a port", text)
			}
		}
	}
	return port, nil
}

// service reads one line.
func service(line string) (spec.Service, error) {
	name, command, ok := strings.Cut(line, ":")
	command = strings.TrimSpace(command)
	if !ok || command == "" {
		return spec.Service{}, fmt.Errorf("%q is not NAME: COMMAND", line)
	}
	s := spec.Service{Name: name}
	if err := spec.CheckName(name); err != nil {
		return s, err
	}
	if strings.ContainsRune(command, 0) {
		return s, errors.New("the command contains a NUL")
	}
	words, err := spec.Split(command)
	switch {
	case err == nil && words[0] == "exec" && len(words) > 1 && !strings.HasPrefix(words[1], "-"):
		s.Command = spec.Command{"/bin/sh", "-c", command} // which is replaced at once
	case err != nil || isAssignment(words[0]) || slices.Contains(inShell, words[0]):
		// The shell stays between us and what it starts, so the stop signal
		// goes to all of them.
		s.Command = spec.Command{"/bin/sh", "-c", command}
		s.StopTo = spec.StopAll
	case strings.ContainsAny(command, "$*?[~"):
		s.Command = spec.Command{"/bin/sh", "-c", "exec " + command}
	default:
		s.Command = words
	}
	return s, nil
}

// inShell are words that a shell takes for itself: there are no programs of these
// names, or they do something else.
var inShell = []string{
	"!", ".", ":", "break", "case", "cd", "continue", "eval", "exec", "exit", "export", "for", "if",
	"read", "readonly", "return", "set", "shift", "source", "time", "times", "trap", "ulimit",
	"umask", "unset", "until", "wait", "while", "{",
}

// isAssignment tells whether a shell would take the first word for NAME=VALUE.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && name != "" && !strings.ContainsAny(name, "/.-")
}
