package registry

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/spec"
)

type service struct{ described *spec.Service }

func (s *service) Spec() *spec.Service { return s.described }

// The names that services have in these tests: w@2 may be an instance, or given by hand.
var (
	owns  = []string{"a", "b", "w", "w@1", "w@2", "w@10"}
	bases = map[string]string{"w@1": "w", "w@2": "w", "w@10": "w"}
	asks  = append([]string{"v", "w@3"}, owns...)
)

// describe draws a description of that name.
func describe(t *rapid.T, name string) *spec.Service {
	names := rapid.SliceOfN(rapid.SampledFrom(asks), 0, 3)
	s := &spec.Service{
		Name: name, Requires: names.Draw(t, "requires"), Wants: names.Draw(t, "wants"),
		After: names.Draw(t, "after"),
	}
	if bases[name] != "" && rapid.IntRange(0, 3).Draw(t, "by hand") > 0 {
		fmt.Sscanf(name, bases[name]+"@%d", &s.Instance)
	}
	return s
}

// model is a registry that has nothing but the services, and looks at all of them each time.
type model []*service

func (m model) named(name string) *service {
	for _, s := range m {
		if s.described.Name == name {
			return s
		}
	}
	return nil
}

func (m model) sorted() []*service {
	return slices.SortedFunc(slices.Values(m), func(a, b *service) int {
		return cmp.Or(cmp.Compare(m.base(a), m.base(b)),
			cmp.Compare(a.described.Instance, b.described.Instance))
	})
}

func (m model) base(s *service) string {
	if s.described.Instance == 0 {
		return s.described.Name
	}
	return bases[s.described.Name]
}

func (m model) instances(of string) (list []*service) {
	for _, s := range m.sorted() {
		if s.described.Instance > 0 && m.base(s) == of {
			list = append(list, s)
		}
	}
	return list
}

func (m model) expand(name string) []*service {
	if s := m.named(name); s != nil {
		return []*service{s}
	}
	return m.instances(name)
}

func (m model) needed(s *service) (list []*service) {
	for _, names := range [][]string{s.described.Requires, s.described.Wants, s.described.After} {
		for _, name := range names {
			list = append(list, m.expand(name)...)
		}
	}
	return list
}

func (m model) needers(s *service) (list []*service) {
	for _, d := range m {
		if slices.Contains(m.needed(d), s) {
			list = append(list, d)
		}
	}
	return list
}

func (m model) find(names []string) (list []*service, missing string) {
	if len(names) == 0 {
		return m.sorted(), ""
	}
	for _, name := range names {
		these := m.expand(name)
		if these == nil {
			return nil, name
		}
		for _, s := range these {
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return list, ""
}

// Whatever is added, removed and described anew, each look-up finds what one through all finds, no
// index keeps what is gone, and a list that somebody has stays as it was.
func TestEveryLookup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, m := New[*service](), model(nil)
		type lent struct{ list, was []*service }
		var given []lent
		lend := func(list []*service) {
			given = append(given, lent{list, slices.Clone(list)})
		}
		t.Repeat(map[string]func(*rapid.T){
			"add or remove": func(t *rapid.T) {
				name := rapid.SampledFrom(owns).Draw(t, "name")
				if s := m.named(name); s != nil {
					r.Remove(s)
					m = slices.DeleteFunc(m, func(o *service) bool { return o == s })
					return
				}
				s := &service{describe(t, name)}
				r.Add(s)
				m = append(m, s)
			},
			"describe anew": func(t *rapid.T) {
				if len(m) == 0 {
					t.Skip("nothing is there")
				}
				s := rapid.SampledFrom(m).Draw(t, "service")
				as := describe(t, s.described.Name)
				needed, before := r.Needed(s), &service{s.described}
				r.Redescribe(s, func() { s.described = as })
				same(t, "needed before", slices.Collect(needed), m.needed(before))
			},
			"find": func(t *rapid.T) {
				names := rapid.SliceOfN(rapid.SampledFrom(asks), 0, 4).Draw(t, "names")
				found, err := r.Find(names)
				want, missing := m.find(names)
				same(t, "found", found, want)
				lend(found)
				var none *NotFoundError
				if errors.As(err, &none); missing == "" && err != nil ||
					missing != "" && (none == nil || none.Name != missing) {
					t.Errorf("%v: %v, want none but %q", names, err, missing)
				}
			},
			"": func(t *rapid.T) {
				compare(t, r, m)
				for _, name := range asks {
					lend(r.Instances(name))
				}
				for _, l := range given {
					same(t, "what somebody has", l.list, l.was)
				}
			},
		})
	})
}

// compare asks both everything.
func compare(t *rapid.T, r *Registry[*service], m model) {
	if r.Len() != len(m) {
		t.Errorf("%d services, want %d", r.Len(), len(m))
	}
	for _, name := range asks {
		if r.Named(name) != m.named(name) {
			t.Errorf("%s: %v", name, r.Named(name))
		}
		same(t, "instances of "+name, r.Instances(name), m.instances(name))
		same(t, "expanded "+name, r.Expand(name), m.expand(name))
	}
	for _, s := range m {
		name := s.described.Name
		same(t, "needed by "+name, slices.Collect(r.Needed(s)), m.needed(s))
		same(t, "in need of "+name, once(r.Needers(s)), once(slices.Values(m.needers(s))))
		anyOne := slices.Collect(take(r.Needers(s), 1)) // the others are not asked for
		if want := min(1, len(m.needers(s))); len(anyOne) != want {
			t.Errorf("%d of those in need of %s, want %d", len(anyOne), name, want)
		}
	}
	anew := New[*service]()
	for _, s := range m {
		anew.Add(s)
	}
	if got, want := r.indexes(), anew.indexes(); !reflect.DeepEqual(got, want) {
		t.Errorf("it has\n%v, want\n%v", got, want)
	}
	same(t, "all", r.Sorted(), m.sorted())
}

func same(t *rapid.T, what string, got, want []*service) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, which(got), which(want))
	}
}

// once are services by name, each once.
func once(list iter.Seq[*service]) []*service {
	return slices.Compact(slices.SortedFunc(list, func(a, b *service) int {
		return strings.Compare(a.described.Name, b.described.Name)
	}))
}

// take are the first n.
func take(list iter.Seq[*service], n int) iter.Seq[*service] {
	return func(yield func(*service) bool) {
		for s := range list {
			if n--; !yield(s) || n == 0 {
				return
			}
		}
	}
}

// indexes are those of a registry beside the one by name, in a form to be compared and read.
func (r *Registry[S]) indexes() map[string][]string {
	all := map[string][]string{}
	for base, list := range r.instances {
		all["instances of "+base] = which(list)
	}
	for name, needers := range r.needers {
		all["come after "+name] = slices.Sorted(
			slices.Values(which(slices.Collect(maps.Keys(needers)))),
		)
	}
	return all
}

// which tells services of the same name apart.
func which[S Service](list []S) []string {
	names := []string{}
	for _, s := range list {
		names = append(names, fmt.Sprintf("%s (%p)", s.Spec().Name, any(s)))
	}
	return names
}

// A name stands for all instances of a service, in their order, and each is found once.
func TestFind(t *testing.T) {
	r := New[*service]()
	instances := spec.ExpandSet([]spec.Service{{Name: "w", Instances: 10}})
	for _, n := range []int{2, 10, 1} {
		r.Add(&service{&instances[n-1]})
	}
	r.Add(&service{&spec.Service{Name: "v"}})
	for want, names := range map[string][]string{
		"v w@1 w@2 w@10": nil, "w@1 w@2 w@10": {"w"}, "w@10 w@1 w@2 v": {"w@10", "w", "v", "v"},
	} {
		found, err := r.Find(names)
		var got []string
		for _, s := range found {
			got = append(got, s.described.Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v: %v, %v, want %s", names, got, err, want)
		}
	}
}

// Who asks for what is not there learns what is like it.
func TestNotFound(t *testing.T) {
	r := New[*service]()
	for _, name := range []string{"database", "web"} {
		r.Add(&service{&spec.Service{Name: name}})
	}
	for name, hint := range map[string]string{"wbe": "web", "mail": ""} {
		found, err := r.Find([]string{"web", name})
		var none *NotFoundError
		if !errors.As(err, &none) || *none != (NotFoundError{name, hint}) || found != nil {
			t.Errorf("%s: %v, %#v", name, which(found), err)
		}
	}
}
