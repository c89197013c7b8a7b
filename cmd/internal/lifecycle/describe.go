package lifecycle

import "github.com/daemonry/daemonry/spec"

// Describe gives s a description, which holds from the next start on.
func (s *Service) Describe(described spec.Service) { s.spec = &described }

// Redescribed has what was described anew hold now, as far as the process need not be another one.
func (s *Service) Redescribed() {
	s.limitAgain()
	if s.state == Ready {
		s.watchLiveness()
		s.watchIdle()
	}
	s.happen(hDescribed, cause{})
}
