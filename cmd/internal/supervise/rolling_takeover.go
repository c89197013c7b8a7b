package supervise

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
)

// beside are the processes of s that are not the one in the registry.
func (s *service) beside() (list []kept.Beside) {
	add := func(s *service) {
		b := kept.Beside{Invocation: s.Invocation()}
		if s.PID() != 0 {
			b.Main, b.Session = s.Identity(), s.Session()
		}
		list = append(list, b)
	}
	if s.rolling.replacement != nil {
		add(s.rolling.replacement)
	}
	for left := range s.rolling.replaced {
		add(left)
	}
	return list
}

// recallBeside finds the processes that were beside s when the predecessor ended in the middle of a
// rolling restart. Whichever of the two is in the registry stays the one, and the other is ended as
// replaced: nobody waits for that restart any more.
func (t *takeover) recallBeside(s *service, r kept.Record) {
	for _, b := range r.Beside {
		left := t.e.newService(*s.Spec(), s.source, s.environ)
		t.e.procs.Recall(&left.Unit, b.Invocation, b.Session, b.Main, nil)
		left.rolling.replacedBy = s
		if s.rolling.replaced == nil {
			s.rolling.replaced = map[*service]struct{}{}
		}
		s.rolling.replaced[left] = struct{}{}
		left.Place(lifecycle.Record{State: Starting})
		if b.Main.PID == 0 { // it was about to be started
			t.missing = append(t.missing, left)
			continue
		}
		h, err := t.e.procs.Prove(b.Main)
		if err == nil {
			err = t.e.procs.Adopt(&left.Unit, b.Main, h, s.Spec().Cgroup)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			t.e.o.Trouble(fmt.Errorf("%s: the process beside it: %w", s.Name(), err))
		}
	}
}

// endBeside ends them.
func (t *takeover) endBeside() {
	for _, s := range t.again {
		for left := range s.rolling.replaced {
			left.PrintInto(s.Stream())
			left.Stop("left of a rolling restart that was cut short")
		}
	}
}
