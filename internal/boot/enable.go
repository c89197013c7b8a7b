package boot

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Enable plans that services are there after every boot, and now, as services
// of the init system: their files are written, enabled and, where they start
// by themselves, started. Services must be resolved ([spec.Service.Resolve]).
// Instances that come one by one are known by the name of their service.
// Files that are in the way are an error that names them.
func (m *Machine) Enable(ctx context.Context, services []spec.Service) (*Plan, error) {
	mgr, target, err := m.manager()
	if err != nil {
		return nil, err
	}
	services = ordered(services)
	for _, s := range services {
		if s.Name == supervisorName || strings.HasPrefix(s.Name, supervisorName+"-") {
			return nil, fmt.Errorf("%s: such names are for the supervisor's own boot service",
				s.Name)
		}
	}
	opts, err := mgr.options(ctx)
	if err != nil {
		return nil, err
	}
	out, err := target.Render(services, opts)
	if err != nil {
		return nil, err
	}
	p := m.newPlan(out.Notes)
	if err := m.install(ctx, mgr, p, services, out.Files); err != nil {
		return nil, err // half a plan is for nobody
	}
	return p, nil
}

// ordered puts services after those that they need, for init systems that start
// nothing else along with a service.
func ordered(services []spec.Service) []spec.Service {
	var list []spec.Service
	seen := map[string]bool{}
	var visit func(s spec.Service)
	visit = func(s spec.Service) {
		if seen[s.Name] {
			return
		}
		seen[s.Name] = true
		for _, name := range slices.Concat(s.Requires, s.Wants, s.After) {
			i := slices.IndexFunc(services, func(o spec.Service) bool { return o.Name == name })
			if i >= 0 {
				visit(services[i])
			}
		}
		list = append(list, s)
	}
	for _, s := range services {
		visit(s)
	}
	return list
}

// EnableSupervisor plans that the supervisor is there after every boot, and
// starts what is wanted of its services.
func (m *Machine) EnableSupervisor(ctx context.Context, s Supervisor) (*Plan, error) {
	mgr, target, err := m.manager()
	if err != nil {
		return nil, err
	}
	opts, err := mgr.options(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.render(target, opts)
	if err != nil {
		return nil, err
	}
	if s.Running && (m.System == Runit || m.System == S6) {
		return nil, fmt.Errorf("a supervisor runs already, and %s starts what it has at once",
			m.System)
	}
	p := m.newPlan(out.Notes)
	p.idle = s.Running
	err = m.install(ctx, mgr, p, []spec.Service{{Name: s.Name()}}, out.Files)
	if err != nil {
		return nil, err
	}
	s.judge(p)
	return p, nil
}

// install plans that the files of the services are these and no others.
func (m *Machine) install(
	ctx context.Context, mgr manager, p *Plan, services []spec.Service, files []writers.File,
) error {
	var names, single []string
	for _, s := range services {
		name := s.BaseName()
		names = append(names, name)
		if s.Instance > 0 { // of a service whose other instances may not be among these
			single = append(single, name)
		}
		if s.Autostart != nil && !*s.Autostart {
			p.manual = append(p.manual, name)
		}
	}
	slices.SortStableFunc(files, func(x, y writers.File) int {
		return slices.Index(names, x.Service) - slices.Index(names, y.Service)
	})
	have, err := m.find(names)
	if err != nil {
		return err
	}
	dir := m.files()
	if err := inTheWay(dir, files); err != nil {
		return err
	}
	if err := mgr.begin(ctx, p, files); err != nil {
		return err
	}
	stale := slices.DeleteFunc(without(have, dir, files),
		func(f found) bool { return slices.Contains(single, f.service) })
	if err := m.removal(ctx, mgr, p, stale, unitsOf("", pathsTo(files))); err != nil {
		return err
	}
	changed := len(stale) > 0
	for _, f := range files {
		written, err := p.write(filepath.Join(dir, filepath.FromSlash(f.Path)), f.Mode, f.Content)
		if err != nil {
			return err
		}
		changed = changed || written
	}
	if err := mgr.enable(ctx, p, files, changed); err != nil {
		return err
	}
	p.settle()
	return nil
}

// removal plans that files go, and what the manager knows of them, but for what
// it knows of units that stay: service directories that lose a file.
func (m *Machine) removal(
	ctx context.Context, mgr manager, p *Plan, files []found, staying []string,
) error {
	gone := slices.DeleteFunc(slices.Clone(files), func(f found) bool {
		return slices.Contains(staying, unitsOf(m.files(), []string{f.path})[0])
	})
	if len(gone) > 0 {
		if err := mgr.disable(ctx, p, gone); err != nil {
			return err
		}
	}
	for _, f := range files {
		p.remove(f.path, f.content)
	}
	p.prune(files)
	if len(gone) > 0 {
		mgr.end(p, gone)
	}
	return nil
}

// Disable plans that nothing is left of services that were enabled: they are
// stopped, and their files removed. What is not enabled is no error; a file
// that somebody has changed is.
func (m *Machine) Disable(ctx context.Context, names ...string) (*Plan, error) {
	mgr, _, err := m.manager()
	if err != nil {
		return nil, err
	}
	have, err := m.find(names)
	if err != nil {
		return nil, err
	}
	if err := m.notInstances(names, have); err != nil {
		return nil, err
	}
	p := m.newPlan(nil)
	if len(have) == 0 {
		return p, nil
	}
	if err := mgr.begin(ctx, p, nil); err != nil {
		return nil, err
	}
	if err := m.removal(ctx, mgr, p, have, nil); err != nil {
		return nil, err
	}
	return p, nil
}

// notInstances refuses names of instances, which would seem to be disabled
// already: files are found by the service that they are instances of.
func (m *Machine) notInstances(names []string, have []found) error {
	for _, name := range names {
		base := name[:max(0, strings.LastIndexByte(name, '@'))]
		if base == "" || skipNumber(name[len(base):], "@") != "" ||
			slices.ContainsFunc(have, func(f found) bool { return f.service == name }) {
			continue
		}
		of, err := m.find([]string{base})
		if err == nil && len(of) == 0 {
			continue
		}
		return fmt.Errorf("%s: a boot service is disabled with all its instances: name %s",
			name, base)
	}
	return nil
}
