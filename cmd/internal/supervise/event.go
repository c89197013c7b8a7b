package supervise

import (
	"context"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/events"
	"github.com/daemonry/daemonry/control"
)

// Subscribe delivers events from now on, after those kept with an ID above after; math.MaxUint64
// means none of those.
func (e *Engine) Subscribe(ctx context.Context, after uint64) ([]control.Event, *events.Subscription, error) {
	return e.events.Subscribe(ctx, after)
}

// tell tells of what has happened to s, nil for the supervisor itself.
func (e *Engine) tell(s *service, kind control.EventKind, format string, args ...any) {
	e.emit(s, control.Event{Kind: kind, Reason: fmt.Sprintf(format, args...)})
}

// trouble tells of a difficulty.
func (e *Engine) trouble(s *service, format string, args ...any) {
	e.tell(s, control.EventTrouble, format, args...)
}

// emit fills in what an event always has and delivers it.
func (e *Engine) emit(s *service, ev control.Event) {
	if s != nil {
		ev.Service, ev.State = s.spec.Name, s.state
		if ev.PID == 0 {
			ev.PID = s.PID()
		}
		if ev.Kind == control.EventState && ev.From == "" {
			ev.From = s.state
		}
		if s.isReplacement() || s.isReplaced() {
			ev = s.ofBeside(ev)
		}
	}
	e.events.Add(ev)
}
