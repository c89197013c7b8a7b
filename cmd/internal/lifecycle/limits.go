package lifecycle

import "fmt"

// limitAgain has limits hold that were changed while the service runs.
func (s *Service) limitAgain() {
	if s.Group() == nil || s.PID() == 0 || s.spec.Limits == s.limits {
		return
	}
	s.limits = s.spec.Limits
	s.setLimits()
}

// setLimits has the limits of s hold. Of two changes that are under way the one that ends last may
// not be the one that began last: so it looks whether the limits are still those it began with.
func (s *Service) setLimits() {
	g, limits := s.Group(), s.limits
	s.shared.Loop.Work(func() func() {
		err := g.Limit(limits, true)
		return func() {
			if err != nil {
				s.shared.Trouble(fmt.Errorf("%s: %w", s.Name(), err))
			}
			if s.Group() == g && s.limits != limits {
				s.setLimits()
			}
		}
	})
}
