package supervise

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/children"
)

// beside is what a successor of the engine must know of a process that is not the one in the
// registry.
type beside struct {
	Invocation string            `json:"invocation"`
	Main       children.Identity `json:"main,omitzero"`
	Session    int               `json:"session,omitzero"`
}

func (s *service) beside() (list []beside) {
	add := func(s *service) {
		b := beside{Invocation: s.Invocation()}
		if s.PID() != 0 {
			b.Main, b.Session = s.Identity(), s.Session()
		}
		list = append(list, b)
	}
	if s.kin.successor != nil {
		add(s.kin.successor)
	}
	for elder := range s.kin.elders {
		add(elder)
	}
	return list
}

// findKin finds the processes that were beside s when the predecessor ended in the middle of a
// rolling restart. Whichever of the two is in the registry stays the one, and the other is ended as
// an elder: nobody waits for that restart any more.
func (t *takeover) findKin(s *service, r record) {
	for _, b := range r.Beside {
		elder := t.e.newService(service{spec: s.spec, source: s.source, environ: s.environ})
		t.e.procs.Recall(&elder.Unit, b.Invocation, b.Session, b.Main, nil)
		elder.kin.elderOf = s
		if s.kin.elders == nil {
			s.kin.elders = map[*service]struct{}{}
		}
		s.kin.elders[elder] = struct{}{}
		t.e.happen(elder, hPlaced, cause{state: Starting})
		if b.Main.PID == 0 { // it was about to be started
			t.missing = append(t.missing, elder)
			continue
		}
		h, err := t.e.procs.Prove(b.Main)
		if err == nil {
			err = t.e.procs.Adopt(&elder.Unit, b.Main, h, s.spec.Cgroup)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			t.e.o.Trouble(fmt.Errorf("%s: the process beside it: %w", s.spec.Name, err))
		}
	}
}

// endKin ends them.
func (t *takeover) endKin() {
	for _, s := range t.again {
		for elder := range s.kin.elders {
			elder.stream = s.stream
			t.e.happen(elder, hUnwant, cause{text: "left of a rolling restart that was cut short"})
		}
	}
}
