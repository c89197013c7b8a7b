package supervise

import (
	"github.com/daemonry/daemonry/control"
)

// status is what there is to know about s at this moment.
func (s *service) status() control.Status {
	st := control.Status{
		Name: s.Spec().Name, Description: s.Spec().Description, State: s.State(),
		Wanted: s.Wanted, Held: s.held,
		PID: s.PID(), Ready: s.State() == Ready || s.State() == Listening, Restarts: s.Restarts(),
		Since: s.Since(), Exit: s.Exit(),
		Reason: s.Reason(), Text: s.Text(), LogError: s.logError, Source: s.source,
		Labels: s.Spec().Labels,
	}
	if s.PID() != 0 {
		st.Started = s.Started()
	}
	if s.State() == Backoff || s.State() == Failed {
		st.Next = s.Next()
	}
	return st
}
