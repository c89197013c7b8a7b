package supervise

import (
	"slices"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/environ"
)

// An environment that cannot be read is had again from the next command that has the same, by each
// service that it describes.
func TestEnvironmentIsMended(t *testing.T) {
	b := newBench(t)
	b.environs = environ.NewSet(t.TempDir())
	v := inherited([]string{"A=b"})
	one, two := b.put(plain("one")), b.put(plain("two"))
	for _, s := range []*service{one, two} {
		if s.environ = b.environs.Of(v.ID()); s.environ.Known() {
			t.Fatal("it was read, and is not there")
		}
	}
	if names := b.environChanges(one, inherited([]string{"A=c"})); names != nil {
		t.Errorf("of what is not known %v has changed", names)
	}
	for _, s := range []*service{one, two} {
		if !b.describeEnviron(s, inherited([]string{"A=b"})) {
			t.Errorf("%s: nothing has changed", s.Spec().Name)
		}
		if l := s.NewLaunch(); l.EnvironErr != nil || !slices.Contains(l.Environ, "A=b") {
			t.Errorf("%s: %v: %v", s.Spec().Name, l.Environ, l.EnvironErr)
		}
		if b.describeEnviron(s, inherited([]string{"A=b"})) {
			t.Errorf("%s: changed again", s.Spec().Name)
		}
	}
	if one.environ != two.environ {
		t.Error("it is not shared")
	}
}

// What a service would get another value of, it has from the command that described it, or else
// from us.
func TestEnvironmentChanges(t *testing.T) {
	b := newBench(t)
	b.o.Environ = []string{"A=ours", "B=b"}
	s := b.put(plain("s"))
	changes := func(vars []string) []string { return b.environChanges(s, inherited(vars)) }
	if names := changes([]string{"A=a", "B=b"}); !slices.Equal(names, []string{"A"}) {
		t.Errorf("of ours: %v", names)
	}
	b.describeEnviron(s, inherited([]string{"A=a", "B=c"}))
	if names := changes([]string{"A=a", "B=b"}); !slices.Equal(names, []string{"B"}) {
		t.Errorf("of its own: %v", names)
	}
	if names := changes(nil); names != nil || b.describeEnviron(s, nil) {
		t.Errorf("without a word of it: %v", names)
	}
}
