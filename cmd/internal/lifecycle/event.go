package lifecycle

import (
	"fmt"

	"github.com/daemonry/daemonry/control"
)

// Tell tells of what has happened to s.
func (s *Service) Tell(kind control.EventKind, format string, args ...any) {
	s.emit(control.Event{Kind: kind, Reason: fmt.Sprintf(format, args...)})
}

// trouble tells of a difficulty.
func (s *Service) trouble(format string, args ...any) {
	s.Tell(control.EventTrouble, format, args...)
}

// Trouble tells what could not be seen or done of its processes or sockets.
func (s *Service) Trouble(err error) { s.trouble("%v", err) }

// emit fills in what an event always has and delivers it.
func (s *Service) emit(ev control.Event) {
	ev.Service, ev.State = s.spec.Name, s.state
	if ev.PID == 0 {
		ev.PID = s.PID()
	}
	if ev.Kind == control.EventState && ev.From == "" {
		ev.From = s.state
	}
	s.owner.Emit(ev)
}
