package supervise

import (
	"maps"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// environment is what services inherit whose descriptions came from one command. All that have the
// same share it.
type environment struct {
	id   string   // of its content
	vars []string // "NAME=VALUE", by name
	err  error    // why it cannot be had; then there are no vars
}

// newEnvironment takes in the variables of whoever describes services. Nil stays nil: there is no
// word of it.
func newEnvironment(vars []string) *environment {
	if vars == nil {
		return nil
	}
	v := &environment{vars: launch.Inherited(vars)}
	v.id = persist.EnvironmentID(v.vars)
	return v
}

// changed are the names of variables that differ, sorted.
func (v *environment) changed(from *environment) []string {
	names := map[string]bool{}
	for _, pair := range [][2]*environment{{v, from}, {from, v}} {
		for _, kv := range pair[0].vars {
			if _, there := slices.BinarySearchFunc(pair[1].vars, kv, strings.Compare); !there {
				name, _, _ := strings.Cut(kv, "=")
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// environDir, in the state directory, has a file for each environment.
const environDir = "environment"

// saveEnviron writes v down, unless it is.
func (e *Engine) saveEnviron(v *environment) error {
	if v.err != nil {
		return nil
	}
	return e.state.kept.Save(v.id, v.vars)
}

// environOf is the environment of that id, which is read once.
func (e *Engine) environOf(id string) *environment {
	if id == "" {
		return nil // of before environments were kept: ours
	}
	environs := e.state.environs
	if environs[id] == nil {
		v := &environment{id: id}
		v.vars, v.err = e.state.kept.Load(id)
		environs[id] = v
	}
	return environs[id]
}

// describeEnviron gives s an environment, unless it has it or there is no word of one, and says
// whether that changed something.
func (e *Engine) describeEnviron(s *service, v *environment) bool {
	if v == nil || s.environ != nil && s.environ.id == v.id && s.environ.err == nil {
		return false
	}
	environs := e.state.environs
	if environs[v.id] == nil || environs[v.id].err != nil {
		environs[v.id] = v
	}
	s.environ = environs[v.id]
	return true
}

// environChanges are the names of the variables that s would get another value of.
func (e *Engine) environChanges(s *service, v *environment) []string {
	switch {
	case v == nil:
		return nil
	case s.environ == nil:
		return v.changed(newEnvironment(e.o.Environ))
	case s.environ.id == v.id, s.environ.err != nil: // what it was nobody knows
		return nil
	}
	return v.changed(s.environ)
}

// usedEnvirons forgets those that nobody has.
func (e *Engine) usedEnvirons() map[string]*environment {
	used := map[string]*environment{}
	for _, s := range e.services.Sorted() {
		if s.environ != nil {
			used[s.environ.id] = s.environ
		}
	}
	e.state.environs = used
	return maps.Clone(used)
}

func (v *environment) name() string {
	if v == nil {
		return ""
	}
	return v.id
}
