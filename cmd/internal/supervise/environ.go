package supervise

import (
	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/launch"
)

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
