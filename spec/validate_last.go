package spec

import (
	"errors"
	"fmt"
)

// checkLast checks what the number makes of addresses: a port that has the number at its end is
// none from the tenth instance on.
func (s *Service) checkLast(p *problems) {
	if s.Instances < 2 || s.Instances > maxInstances {
		return
	}
	last := s.instance(s.Instances)
	check := func(field string, first, last error) {
		var h *HintError
		if first == nil && errors.As(last, &h) {
			const hint = "{instance+8080} is the number plus 8080"
			p.hint(field, hint, "of instance %d: %s", s.Instances, h.Message)
		}
	}
	check("ready", s.Ready.check(), last.Ready.check())
	if s.Liveness.Check != (Probe{}) {
		check("liveness.check", s.Liveness.Check.check(), last.Liveness.Check.check())
	}
	for i := range s.Sockets {
		check(fmt.Sprintf("sockets[%d].listen", i), s.Sockets[i].Listen.check(),
			last.Sockets[i].Listen.check())
	}
}
