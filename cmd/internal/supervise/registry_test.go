package supervise

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// checkRegistry: each index is what it would be if it were made anew of the services that there
// are.
func (b *bench) checkRegistry() {
	b.Helper()
	anew := newRegistry()
	for name, s := range b.byName {
		if s.Spec().Name != name {
			b.Errorf("%s is found as %s", s.Spec().Name, name)
		}
		if s.removed && s.State() == Stopped {
			b.Errorf("%s: removed, stopped, and not forgotten", name)
		}
		anew.add(s)
	}
	if b.inOrder != nil {
		anew.sorted()
	}
	if got, want := b.indexes(), anew.indexes(); !reflect.DeepEqual(got, want) {
		b.Errorf("the registry has\n%v, want\n%v", got, want)
	}
}

// indexes are those of a registry beside the one by name, in a form to be compared and read.
func (r *registry) indexes() map[string][]string {
	all := map[string][]string{"in order": which(r.inOrder)}
	for base, list := range r.byBase {
		all["instances of "+base] = which(list)
	}
	for name, needers := range r.needers {
		list := which(slices.Collect(maps.Keys(needers)))
		slices.Sort(list)
		all["come after "+name] = list
	}
	return all
}

// which tells services of the same name apart.
func which(list []*service) []string {
	names := []string{}
	for _, s := range list {
		names = append(names, fmt.Sprintf("%s (%p)", s.Spec().Name, s))
	}
	return names
}

// A name stands for all instances of a service, in their order, and each is found once.
func TestFind(t *testing.T) {
	b := newBench(t)
	for _, n := range []int{2, 10, 1} {
		w := plain("w", func(s *spec.Service) { s.Instances = 10 })
		b.put(spec.ExpandSet([]spec.Service{w})[n-1])
	}
	b.put(plain("v"))
	for want, names := range map[string][]string{
		"v w@1 w@2 w@10": nil, "w@1 w@2 w@10": {"w"}, "w@10 w@1 w@2 v": {"w@10", "w", "v", "v"},
	} {
		found, err := b.find(names)
		var got []string
		for _, s := range found {
			got = append(got, s.Spec().Name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v: %v, %v, want %s", names, got, err, want)
		}
	}
}
