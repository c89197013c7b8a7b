package supervise

import (
	"slices"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// registry knows the services by every name by which they are asked for. No
// look-up walks through all of them: there may be ten thousand.
type registry struct {
	byName  map[string]*service
	byBase  map[string][]*service            // instances, by number
	needers map[string]map[*service]struct{} // those that name it as one that comes before them
	inOrder []*service                       // by name; nil if it has to be made anew
}

func newRegistry() registry {
	return registry{
		byName: map[string]*service{}, byBase: map[string][]*service{},
		needers: map[string]map[*service]struct{}{},
	}
}

func (r *registry) add(s *service) {
	r.byName[s.Name()] = s
	r.inOrder = nil
	if base := s.Spec().BaseName(); base != s.Name() {
		list := append(r.byBase[base], s)
		slices.SortFunc(list,
			func(a, b *service) int { return a.Spec().Instance - b.Spec().Instance })
		r.byBase[base] = list
	}
	r.link(s)
}

func (r *registry) remove(s *service) {
	r.unlink(s)
	delete(r.byName, s.Name())
	r.inOrder = nil
	base := s.Spec().BaseName()
	if base == s.Name() {
		return
	}
	list := slices.DeleteFunc(slices.Clone(r.byBase[base]), func(o *service) bool { return o == s })
	if r.byBase[base] = list; len(list) == 0 {
		delete(r.byBase, base)
	}
}

// link and unlink are called around a change of a service's description.
func (r *registry) link(s *service) {
	for _, name := range s.comesAfter() {
		if r.needers[name] == nil {
			r.needers[name] = map[*service]struct{}{}
		}
		r.needers[name][s] = struct{}{}
	}
}

func (r *registry) unlink(s *service) {
	for _, name := range s.comesAfter() {
		if delete(r.needers[name], s); len(r.needers[name]) == 0 {
			delete(r.needers, name)
		}
	}
}

// comesAfter are the names of all that s is to be started after.
func (s *service) comesAfter() []string {
	return slices.Concat(s.Spec().Requires, s.Spec().Wants, s.Spec().After)
}

// expand returns the service of a name, or the instances of the service of that name.
func (r *registry) expand(name string) []*service {
	if s := r.byName[name]; s != nil {
		return []*service{s}
	}
	return r.byBase[name]
}

// eachNeeder calls f for every service that names s as one that comes before it, until f returns
// false.
func (r *registry) eachNeeder(s *service, f func(*service) bool) {
	names := []string{s.Name()}
	if base := s.Spec().BaseName(); base != s.Name() && r.byName[base] == nil {
		names = append(names, base)
	}
	for _, name := range names {
		for d := range r.needers[name] {
			if !f(d) {
				return
			}
		}
	}
}

// sorted returns the services by name; it is not to be changed.
func (r *registry) sorted() []*service {
	if r.inOrder == nil {
		r.inOrder = make([]*service, 0, len(r.byName))
		for _, s := range r.byName {
			r.inOrder = append(r.inOrder, s)
		}
		slices.SortFunc(r.inOrder,
			func(a, b *service) int { return compareNames(a.Spec(), b.Spec()) })
	}
	return r.inOrder
}

// compareNames puts web@2 before web@10.
func compareNames(a, b *spec.Service) int {
	if c := strings.Compare(a.BaseName(), b.BaseName()); c != 0 {
		return c
	}
	return a.Instance - b.Instance
}

func (r *registry) names() []string {
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	return names
}

// find returns the services of names, all of them if there are none. A name
// stands for all instances of a service as well.
func (r *registry) find(names []string) ([]*service, error) {
	if len(names) == 0 {
		return r.sorted(), nil
	}
	var found []*service
	seen := map[*service]bool{}
	for _, name := range names {
		list := r.expand(name)
		if len(list) == 0 {
			return nil, r.notFound(name)
		}
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				found = append(found, s)
			}
		}
	}
	return found, nil
}

func (r *registry) notFound(name string) error {
	return &NotFoundError{Name: name, Hint: spec.Nearest(name, r.names())}
}

// describe names s where it is waited for, with its state unless that is on its way to be up, or
// what it waits for in vain.
func (s *service) describe() string {
	switch {
	case s.State() == Waiting && s.obstacle.Text != "":
		return s.Name() + " (" + s.obstacle.Text + ")"
	case s.State() == Stopped && s.held:
		return s.Name() + " (stopped by hand)"
	case s.State() == Failed || s.State() == Stopped || s.State() == Backoff:
		return s.Name() + " (" + string(s.State()) + ")"
	}
	return s.Name()
}
