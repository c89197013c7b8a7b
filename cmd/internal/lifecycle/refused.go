package lifecycle

import (
	"errors"
	"fmt"
	"syscall"
)

// refuse tells that a process of s, which is being ended, may not be signalled: it has become
// another user's (kill(2)), and this supervisor is not root's. It is waited for all the same, but
// by nobody who has asked for the end: it may take for ever.
func (s *Service) refuse(pid int, err error) {
	if !errors.Is(err, syscall.EPERM) || s.state != Stopping {
		return
	}
	if s.refused == "" {
		s.refused = fmt.Sprintf("process %d is another user's by now, and may not be ended: %v",
			pid, syscall.EPERM)
		s.reason = s.refused
		s.trouble("%s", s.refused)
		s.owner.CannotEnd()
	}
	if s.shared.Closing {
		s.shared.Loop.Post(s.LeaveBehind)
	}
}

// LeaveBehind has the end of the supervisor not wait for a service that it could not even kill.
func (s *Service) LeaveBehind() {
	if s.refused != "" && s.shared.Closing && (s.killed || s.Killing) {
		s.happen(hLeftBehind, cause{text: "left behind: " + s.refused})
	}
}

// leftBehind is the end of all care for a service.
func (s *Service) leftBehind(why cause) {
	s.quiet()
	s.shared.Trouble(fmt.Errorf("%s: %s", s.spec.Name, why.text))
	s.unproven = true // the next supervisor must not start a second one
	s.enter(Failed, why.text)
}
