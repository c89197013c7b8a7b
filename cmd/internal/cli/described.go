package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// described are the services of commands that need descriptions, not processes.
type described struct{ file string }

func (d *described) fileOption() option {
	return option{"f, file", "FILE", "The file, or a directory with a daemonry.toml in it.", "the services of the supervisor", parsed(&d.file, word)}
}

// describedServices are the services of the file, or those of the running supervisor, or of the
// file that "up" would take; if names are given, those alone.
func (a *app) describedServices(ctx context.Context, d described, names []string) ([]spec.Service, error) {
	var services []spec.Service
	if d.file == "" {
		running, err := a.runningServices(ctx)
		if err != nil {
			return nil, err
		}
		services = running
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
		some := slices.DeleteFunc(slices.Clone(services), func(s spec.Service) bool { return s.Name != name && s.BaseName() != name })
		if len(some) == 0 {
			e := &statusError{status: exitFailed, err: fmt.Errorf("%s: no such service", name)}
			if near := spec.Nearest(name, namesOf(services)); near != "" {
				e.hint = fmt.Sprintf("did you mean %s?", near)
			}
			return nil, e
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
		list, err = s.Status(ctx, control.StatusRequest{})
	}
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure(err, exitFailed, nil)
	}
	var services []spec.Service
	for _, st := range list {
		one, err := s.Spec(ctx, st.Name)
		if err != nil {
			return nil, failure(err, exitFailed, []string{st.Name})
		}
		services = append(services, one)
	}
	return services, nil
}
