package supervise

import (
	"slices"
	"testing"
)

// An environment that cannot be read is had again from the next command that has the same, and by
// all that share it.
func TestEnvironmentIsMended(t *testing.T) {
	b := newBench(t)
	b.state.kept.Dir = t.TempDir()
	v := newEnvironment([]string{"A=b"})
	one, two := b.put(plain("one")), b.put(plain("two"))
	for _, s := range []*service{one, two} {
		if s.environ = b.environOf(v.id); s.environ.err == nil {
			t.Fatal("it was read, and is not there")
		}
		if err := b.saveEnviron(s.environ); err != nil {
			t.Error(err)
		}
	}
	if names := b.environChanges(one, newEnvironment([]string{"A=c"})); names != nil {
		t.Errorf("of what is not known %v has changed", names)
	}
	for _, s := range []*service{one, two} {
		if !b.describeEnviron(s, newEnvironment([]string{"A=b"})) {
			t.Errorf("%s: nothing has changed", s.Spec().Name)
		}
		if l := s.NewLaunch(); l.EnvironErr != nil || !slices.Contains(l.Environ, "A=b") {
			t.Errorf("%s: %v: %v", s.Spec().Name, l.Environ, l.EnvironErr)
		}
		if b.describeEnviron(s, newEnvironment([]string{"A=b"})) {
			t.Errorf("%s: changed again", s.Spec().Name)
		}
	}
	if one.environ != two.environ || b.environOf(v.id) != one.environ {
		t.Error("it is not shared")
	}
}
