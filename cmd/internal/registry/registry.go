// Package registry knows services by every name by which they are asked for.
//
// No look-up walks through all of them: there may be ten thousand.
package registry

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// Service is one of a registry's. Its description is replaced and never changed in place, and only
// by Redescribe.
type Service interface {
	comparable
	Spec() *spec.Service
}

// Registry has services of different names. A list that it returns is not to be changed, and never
// changes. It is for one goroutine.
type Registry[S Service] struct {
	named     map[string]S
	instances map[string][]S            // by the name of their service; in each, by number
	needers   map[string]map[S]struct{} // those that name it as one that comes before them
	inOrder   []S                       // by name; nil if it has to be made anew
}

// New makes an empty one.
func New[S Service]() *Registry[S] {
	return &Registry[S]{
		named: map[string]S{}, instances: map[string][]S{}, needers: map[string]map[S]struct{}{},
	}
}

// Add takes in s, whose name no other has.
func (r *Registry[S]) Add(s S) {
	r.named[s.Spec().Name] = s
	r.file(s)
	r.link(s)
}

// Remove forgets s.
func (r *Registry[S]) Remove(s S) {
	r.unlink(s)
	r.unfile(s, s.Spec().BaseName())
	delete(r.named, s.Spec().Name)
}

// Redescribe calls describe, which gives s another description of the same name.
func (r *Registry[S]) Redescribe(s S, describe func()) {
	before := s.Spec()
	r.unlink(s)
	describe()
	r.link(s)
	// A name with an "@" may be that of an instance now, and one given by hand before; or the other
	// way round.
	if compareNames(before, s.Spec()) != 0 {
		r.unfile(s, before.BaseName())
		r.file(s)
	}
}

// file puts s where its name and number have it.
func (r *Registry[S]) file(s S) {
	r.inOrder = nil
	base := s.Spec().BaseName()
	if base == s.Spec().Name {
		return
	}
	list := r.instances[base]
	at, _ := slices.BinarySearchFunc(list, s.Spec().Instance,
		func(o S, number int) int { return o.Spec().Instance - number })
	if at == len(list) {
		r.instances[base] = append(list, s) // behind what others may have of the list
		return
	}
	r.instances[base] = slices.Concat(list[:at], []S{s}, list[at:])
}

// unfile takes s, which was filed when its service had the name base, out again.
func (r *Registry[S]) unfile(s S, base string) {
	r.inOrder = nil
	list := slices.DeleteFunc(slices.Clone(r.instances[base]), func(o S) bool { return o == s })
	if r.instances[base] = list; len(list) == 0 {
		delete(r.instances, base)
	}
}

func (r *Registry[S]) link(s S) {
	for name := range comesAfter(s.Spec()) {
		if r.needers[name] == nil {
			r.needers[name] = map[S]struct{}{}
		}
		r.needers[name][s] = struct{}{}
	}
}

func (r *Registry[S]) unlink(s S) {
	for name := range comesAfter(s.Spec()) {
		if delete(r.needers[name], s); len(r.needers[name]) == 0 {
			delete(r.needers, name)
		}
	}
}

// comesAfter are the names of all that a service is to be started after.
func comesAfter(s *spec.Service) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, names := range [][]string{s.Requires, s.Wants, s.After} {
			for _, name := range names {
				if !yield(name) {
					return
				}
			}
		}
	}
}

// Len is how many there are.
func (r *Registry[S]) Len() int { return len(r.named) }

// Named is the service of that name, instances with their number. The zero value: there is none.
func (r *Registry[S]) Named(name string) S { return r.named[name] }

// Instances are those of the service of that name, by number.
func (r *Registry[S]) Instances(of string) []S { return r.instances[of] }

// Expand returns the service of a name, or the instances of the service of that name.
func (r *Registry[S]) Expand(name string) []S {
	if s, there := r.named[name]; there {
		return []S{s}
	}
	return r.instances[name]
}

// Needed are those that the description of s names as ones that come before it: as it is now, even
// if another has taken its place when they are asked for. One named twice comes twice.
func (r *Registry[S]) Needed(s S) iter.Seq[S] {
	described := s.Spec()
	return func(yield func(S) bool) {
		for name := range comesAfter(described) {
			for _, d := range r.Expand(name) {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// Needers are those that name s as one that comes before them. One that names an instance and its
// service comes twice.
func (r *Registry[S]) Needers(s S) iter.Seq[S] {
	return func(yield func(S) bool) {
		names := []string{s.Spec().Name}
		base := s.Spec().BaseName()
		if _, another := r.named[base]; base != names[0] && !another {
			names = append(names, base)
		}
		for _, name := range names {
			for d := range r.needers[name] {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// Sorted returns all by name.
func (r *Registry[S]) Sorted() []S {
	if r.inOrder == nil {
		r.inOrder = make([]S, 0, len(r.named))
		for _, s := range r.named {
			r.inOrder = append(r.inOrder, s)
		}
		slices.SortFunc(r.inOrder, func(a, b S) int { return compareNames(a.Spec(), b.Spec()) })
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

// NotFoundError says that there is no service of that name.
type NotFoundError struct {
	Name string
	Hint string // a name that is alike
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s: no such service", e.Name) }

// Find returns the services of names, each once; all of them if there are no names. A name stands
// for all instances of a service as well. One that stands for nothing is a NotFoundError.
func (r *Registry[S]) Find(names []string) ([]S, error) {
	if len(names) == 0 {
		return r.Sorted(), nil
	}
	var found []S
	seen := map[S]bool{}
	for _, name := range names {
		list := r.Expand(name)
		if len(list) == 0 {
			return nil, r.NotFound(name)
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

// NotFound is a NotFoundError, with what is most like name.
func (r *Registry[S]) NotFound(name string) error {
	names := make([]string, 0, len(r.named))
	for name := range r.named {
		names = append(names, name)
	}
	return &NotFoundError{Name: name, Hint: spec.Nearest(name, names)}
}
