package supervise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// update puts a description in place, for a service that is there or a new one.
func (e *Engine) update(want spec.Service, a Apply) *service {
	s := e.services.Named(want.Name)
	if s == nil {
		s = e.newService(want, a.Source, nil)
		e.services.Add(s)
		// Those who need the name needed its instances until now.
		e.releaseSoon(slices.Values(e.services.Instances(s.Name())))
		e.describeEnviron(s, a.environ)
		e.readopt(s)
		e.described(s)
		s.Tell(control.EventChange, "added")
		return s
	}
	changes := spec.Diff(*s.Spec(), want)
	if a.Source != "" {
		s.source = a.Source
	}
	s.removed = false
	inherits := e.describeEnviron(s, a.environ)
	if len(changes) == 0 && !inherits {
		return s
	}
	needed := e.services.Needed(s)
	e.services.Redescribe(s, func() { s.Describe(want) })
	e.releaseSoon(needed) // it may not need them any more
	if s.Holds() {
		e.post(s.Release) // as another instance, or none, it may be needed by others
	}
	e.described(s)
	fields := make([]string, len(changes))
	for i, c := range changes {
		fields[i] = c.Field
	}
	if inherits {
		fields = append(fields, environField)
	}
	s.Tell(control.EventChange, "changed: %s", strings.Join(fields, ", "))
	if s.Stream() != nil {
		e.reconfigure(s)
	}
	s.Redescribed()
	e.recheckSoon(s) // it may come after others by now
	return s
}

// reconfigure has the log of s be as its description says. Of two that are under way the older may
// be the last to end: so it looks whether the description is still the one that it began with.
func (e *Engine) reconfigure(s *service) {
	stream, want, described, dir := s.Stream(), *s.Spec(), s.described, e.o.LogDir
	e.work(func() func() {
		config, err := supervised.LogConfig(want, dir)
		if err == nil {
			err = stream.Reconfigure(config)
		}
		return func() {
			if err != nil {
				e.o.Trouble(fmt.Errorf("log of %s: %w", want.Name, err))
			}
			if now := e.services.Named(want.Name); now != nil && now.Stream() == stream &&
				now.described != described {
				e.reconfigure(now)
			}
		}
	})
}

// environField is what a plan calls the environment that a service inherits.
const environField = "environment"

// inherited is the environment of whoever describes services. Nil stays nil: there is no word of
// it.
func inherited(vars []string) *environ.Environment {
	if vars == nil {
		return nil
	}
	return environ.New(launch.Inherited(vars))
}

// describeEnviron gives s an environment, unless it has it or there is no word of one, and says
// whether that changed something.
func (e *Engine) describeEnviron(s *service, v *environ.Environment) bool {
	if v == nil || s.environ.Known() && s.environ.ID() == v.ID() {
		return false
	}
	s.environ = e.environs.Share(v)
	return true
}

// environChanges are the names of the variables that s would get another value of.
func (e *Engine) environChanges(s *service, v *environ.Environment) []string {
	switch {
	case v == nil:
		return nil
	case s.environ == nil:
		return v.Changed(inherited(e.o.Environ))
	}
	return v.Changed(s.environ)
}

// useEnvirons says which environments services have now; see environ.Set.Use.
func (e *Engine) useEnvirons() (save, sweep func() error) {
	var used []*environ.Environment
	for _, s := range e.services.Sorted() {
		used = append(used, s.environ)
	}
	return e.environs.Use(used)
}
