package supervise

import (
	"context"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/control"
)

// eventLog keeps the last events and tells subscribers of new ones.
type eventLog struct {
	keep int
	last uint64
	ring []control.Event // up to twice as many as are to be kept
	subs map[*Subscription]struct{}
}

// Subscription delivers events in order.
type Subscription struct {
	events chan control.Event
	engine *Engine
	lost   chan struct{}
}

// subscriptionBuffer is how far a slow listener may lag behind. It is cut off then, because
// the engine waits for nobody; it can subscribe again from the last ID it had.
const subscriptionBuffer = 256

// Subscribe delivers events from now on, after those kept with an ID above
// after; math.MaxUint64 means none of those.
func (e *Engine) Subscribe(ctx context.Context, after uint64) (past []control.Event, s *Subscription, err error) {
	s = &Subscription{events: make(chan control.Event, subscriptionBuffer), engine: e, lost: make(chan struct{})}
	err = e.ask(ctx, func() {
		for _, ev := range e.events.ring {
			if ev.ID > after {
				past = append(past, ev)
			}
		}
		if e.events.subs == nil {
			e.events.subs = map[*Subscription]struct{}{}
		}
		e.events.subs[s] = struct{}{}
	})
	return past, s, err
}

// Next waits for the next event. After ErrLagged, and when the engine has ended (ErrClosed), there
// is none.
func (s *Subscription) Next(ctx context.Context) (control.Event, error) {
	select {
	case ev := <-s.events:
		return ev, nil
	default:
	}
	select {
	case ev := <-s.events:
		return ev, nil
	case <-s.lost:
		return control.Event{}, ErrLagged
	case <-s.engine.loop.Ended():
		select {
		case ev := <-s.events: // the last ones came with the end
			return ev, nil
		default:
			return control.Event{}, ErrClosed
		}
	case <-ctx.Done():
		return control.Event{}, context.Cause(ctx)
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.engine.post(func() { delete(s.engine.events.subs, s) })
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
	e.events.last++
	ev.ID, ev.Time = e.events.last, time.Now()
	if s != nil {
		ev.Service, ev.State = s.spec.Name, s.state
		if ev.PID == 0 {
			ev.PID = s.PID()
		}
		if ev.Kind == control.EventState && ev.From == "" {
			ev.From = s.state
		}
		if s.isSuccessor() || s.isElder() {
			ev = s.ofKin(ev)
		}
	}
	e.events.add(ev)
}

func (l *eventLog) add(ev control.Event) {
	if len(l.ring) >= 2*l.keep { // moved seldom rather than by one each time
		l.ring = append(l.ring[:0], l.ring[len(l.ring)-l.keep:]...)
	}
	l.ring = append(l.ring, ev)
	for s := range l.subs {
		select {
		case s.events <- ev:
		default:
			close(s.lost)
			delete(l.subs, s)
		}
	}
}
