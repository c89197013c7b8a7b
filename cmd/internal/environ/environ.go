// Package environ keeps the environments that services share, each in a file named by its content.
package environ

import (
	"maps"
	"slices"
	"strings"
)

// Environment is what services inherit whose descriptions came from one command. It never changes,
// and all that have the same share it. Nil: none is known.
type Environment struct {
	id   string   // of its content
	vars []string // "NAME=VALUE", by name
	err  error    // why it cannot be had; then there are no vars
}

// New is the environment of these variables, one of each name, sorted by name.
func New(vars []string) *Environment { return &Environment{id: idOf(text(vars)), vars: vars} }

// ID tells it from others. That of nil is "".
func (v *Environment) ID() string {
	if v == nil {
		return ""
	}
	return v.id
}

// Vars are its variables, "NAME=VALUE", by name; or why they cannot be had.
func (v *Environment) Vars() ([]string, error) { return v.vars, v.err }

// Known says whether its variables can be had.
func (v *Environment) Known() bool { return v != nil && v.err == nil }

// Changed are the names of the variables that differ in v and from, sorted: none if that is not
// known.
func (v *Environment) Changed(from *Environment) []string {
	if !v.Known() || !from.Known() || v.id == from.id {
		return nil
	}
	in := map[string]int{} // of how many of the two it is a variable
	for _, kv := range slices.Concat(v.vars, from.vars) {
		in[kv]++
	}
	names := map[string]bool{}
	for kv, n := range in {
		if n == 1 {
			name, _, _ := strings.Cut(kv, "=")
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Set has the environments of services. It is for one goroutine, Save apart.
type Set struct {
	files files
	known map[string]*Environment // by id
}

// NewSet is the set whose files are in dir, which is made when there is one to be written.
func NewSet(dir string) *Set {
	return &Set{files: files{dir: dir}, known: map[string]*Environment{}}
}

// Of is the environment of that id, read once; nil for that of nil.
func (s *Set) Of(id string) *Environment {
	if id == "" {
		return nil
	}
	if s.known[id] == nil {
		v := &Environment{id: id}
		v.vars, v.err = s.files.load(id)
		s.known[id] = v
	}
	return s.known[id]
}

// Share is what all share that have what v has. If that could not be read, it is v from now on.
func (s *Set) Share(v *Environment) *Environment {
	if !s.known[v.id].Known() {
		s.known[v.id] = v
	}
	return s.known[v.id]
}

// Save writes v down, unless it is. It is called before the owner knows of v, by any goroutine, so
// that a service is never started with an environment that a successor would not find.
func (s *Set) Save(v *Environment) error {
	if !v.Known() {
		return nil
	}
	return s.files.save(v.id, v.vars)
}

// Use says which are in use, nil being none; the set forgets the others. What it returns may be
// called by any goroutine: save, before it is written down who uses them, writes those that are
// not; sweep, after that, removes the files of the others.
func (s *Set) Use(used []*Environment) (save, sweep func() error) {
	s.known = map[string]*Environment{}
	for _, v := range used {
		if v != nil {
			s.Share(v)
		}
	}
	known := maps.Clone(s.known)
	save = func() error {
		for _, v := range known {
			if err := s.Save(v); err != nil {
				return err
			}
		}
		return nil
	}
	sweep = func() error {
		return s.files.sweep(func(id string) bool { return known[id] != nil })
	}
	return save, sweep
}
