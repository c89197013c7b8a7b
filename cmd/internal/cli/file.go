package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/spec"
)

// described are the services of commands that need descriptions, not processes.
type described struct{ file string }

func (d *described) fileOption() option {
	return option{"f, file", "FILE", "the services of the supervisor", parsed(&d.file, word)}
}

// describedServices are the services of the file, or those of the running supervisor, or of the
// file that "up" would take; if names are given, those alone.
func (a *app) describedServices(
	ctx context.Context, d described, names []string,
) ([]spec.Service, error) {
	var services []spec.Service
	var err error
	if d.file == "" {
		if services, err = a.runningServices(ctx); err != nil {
			return nil, err
		}
	}
	if len(services) == 0 {
		file, err := a.readFile(d.file)
		if err != nil {
			return nil, err
		}
		services = file.Services
	}
	if len(names) == 0 {
		if len(services) == 0 {
			return nil, errors.New("there are no services")
		}
		return services, nil
	}
	var chosen []spec.Service
	for _, name := range names {
		some := slices.DeleteFunc(slices.Clone(services),
			func(s spec.Service) bool { return s.Name != name && s.BaseName() != name })
		if len(some) == 0 {
			return nil, statusf(exitFailed, "%s: no such service", name).
				advise(meant("%s", name, namesOf(services)))
		}
		for _, s := range some {
			if !slices.ContainsFunc(chosen, func(c spec.Service) bool { return c.Name == s.Name }) {
				chosen = append(chosen, s)
			}
		}
	}
	return chosen, nil
}

// runningServices are the descriptions that the supervisor has, instances one by one; none if no
// supervisor is there.
func (a *app) runningServices(ctx context.Context) ([]spec.Service, error) {
	s, err := a.session()
	var list []control.Status
	if err == nil {
		list, err = s.Status(ctx, control.StatusRequest{Spec: true})
	}
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure(err, exitFailed, nil)
	}
	return each(list, func(st control.Status) spec.Service { return *st.Spec }), nil
}

// baseNames are the names of services, of instances that of the service they are of.
func baseNames(services []spec.Service) []string {
	var names []string
	for _, s := range services {
		if name := s.BaseName(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// fileCall is what the words of commands ask for that take a file of services.
type fileCall struct {
	file       string
	json, plan bool
}

func (c *fileCall) fileOption() option {
	return option{"f, file", "FILE", "./daemonry.toml, else that of the configuration directory",
		parsed(&c.file, word)}
}

// sayUnread says that settings of the supervisor in a file have no effect: it reads its own when it
// starts.
func (a *app) sayUnread(file *native.File) {
	p, err := paths.Find()
	if file.Supervisor == (native.Supervisor{}) ||
		err == nil && file.Path == filepath.Join(p.Config, native.DefaultName) {
		return
	}
	fmt.Fprintf(a.err, "%s: %s: [supervisor] has no effect here: "+
		"the supervisor reads %s in its configuration directory when it starts\n",
		program, file.Path, native.DefaultName)
}

// listed is never nil: no services at all is a request like another, to the API too.
func listed(services []spec.Service) []spec.Service {
	return append([]spec.Service{}, services...)
}

func namesOf(services []spec.Service) []string {
	return each(services, func(s spec.Service) string { return s.Name })
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
	wrong, ok := errors.AsType[native.Errors](err)
	if !ok {
		return file, err
	}
	for _, e := range wrong {
		fmt.Fprintln(a.err, oneLine(e.Error()))
	}
	return nil, statusf(exitFailed, "%s: %s", wrong[0].File, counted(len(wrong), "mistake"))
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
	return "", statusf(exitFailed, "no %s here or in %s", native.DefaultName, p.Config).
		advise("name one: -f FILE")
}
