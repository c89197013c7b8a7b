package supervise

import (
	"slices"

	"github.com/daemonry/daemonry/spec"
)

// A service that is given another name in its file is one that is removed and one that is added.
// Both would want the same ports and files: so the new one starts when the old one has gone.

// follow has s, which a request adds, wait until those services have gone that the same request
// removes and that are like it.
func (s *service) follow(removed []*service) {
	for _, old := range removed {
		if old.State() != Stopped && alike(s.Spec(), old.Spec()) {
			s.follows, old.followed = append(s.follows, old), append(old.followed, s)
		}
	}
}

// alike says whether two services most likely cannot run side by side: they run the same, have a
// socket at the same address or are ready at the same one.
func alike(a, b *spec.Service) bool {
	if slices.Equal(a.Command, b.Command) {
		return true
	}
	switch a.Ready.Kind {
	case spec.ProbeTCP, spec.ProbeUnix, spec.ProbeHTTP:
		if a.Ready == b.Ready {
			return true
		}
	}
	return slices.ContainsFunc(a.Sockets, func(one spec.Socket) bool {
		return slices.ContainsFunc(b.Sockets,
			func(other spec.Socket) bool { return one.Listen == other.Listen })
	})
}

// predecessors are the services that s still waits for so, each in the words in which s says what
// it waits for.
func (s *service) predecessors() (list []string) {
	s.follows = slices.DeleteFunc(s.follows,
		func(old *service) bool { return !old.removed || old.State() == Stopped })
	for _, old := range s.follows {
		list = append(list, old.Name()+" to end")
	}
	return list
}
