package lifecycle

import (
	"errors"

	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/internal/sys"
)

// NewLaunch is for a process of s that is to be started.
func (s *Service) NewLaunch() supervised.Launch {
	l := s.owner.Launch()
	l.Spawn, l.Identify = s.shared.Kernel.Start, s.shared.Kernel.Identify
	l.Spec, l.Invocation, l.Group, l.Stream = *s.spec, s.Invocation(), s.Group(), s.stream
	l.Stuck = supervised.Stuck{Own: s.inVain, All: s.shared.unanswered}
	return l
}

// seeStuck takes note of what a failed start of s, or of a command of it, has left behind in the
// kernel.
func (s *Service) seeStuck(failure error) {
	if errors.Is(failure, supervised.ErrStuck) {
		return // it has added nothing
	}
	stuck, ok := errors.AsType[*sys.StuckError](failure)
	if !ok || stuck.Returned == nil {
		return
	}
	s.inVain = stuck.Returned
	s.shared.unanswered++
	go func() {
		select {
		case <-stuck.Returned:
			s.shared.Loop.Post(func() { s.shared.unanswered-- })
		case <-s.shared.Loop.Ended():
		}
	}()
}
