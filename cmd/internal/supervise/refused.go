package supervise

import (
	"errors"
	"fmt"
	"syscall"
)

// RefusedError says that a service is not ended, because the kernel does not let us signal one of
// its processes.
type RefusedError struct{ Name, Reason string }

func (e *RefusedError) Error() string { return e.Name + ": " + e.Reason }

// refuse tells that a process of s, which is being ended, may not be signalled: it has become
// another user's (kill(2)), and this supervisor is not root's. It is waited for all the same, but
// by nobody who has asked for the end: it may take for ever.
func (e *Engine) refuse(s *service, pid int, err error) {
	if !errors.Is(err, syscall.EPERM) || s.state != Stopping {
		return
	}
	if s.refused == "" {
		s.refused = fmt.Sprintf("process %d is another user's by now, and may not be ended: %v", pid, syscall.EPERM)
		s.reason = s.refused
		e.trouble(s, "%s", s.refused)
		s.wake()
		e.recheckFollowers(s)
	}
	if e.closing && (s.killed || s.Killing) {
		e.post(func() { e.leaveBehind(s) })
	}
}

// leaveBehind has the end of the supervisor not wait for a service that it cannot end.
func (e *Engine) leaveBehind(s *service) {
	if s.refused != "" && e.closing {
		e.happen(s, hLeftBehind, cause{text: "left behind: " + s.refused})
	}
}

// leftBehind is the end of all care for a service.
func (e *Engine) leftBehind(s *service, why cause) {
	s.quiet()
	e.o.Trouble(fmt.Errorf("%s: %s", s.spec.Name, why.text))
	s.unproven = true // the next supervisor must not start a second one
	e.enter(s, Failed, why.text)
}
