package supervise

import (
	"context"
	"time"
)

// EventKind says what an event is about.
type EventKind string

// Kinds of events.
const (
	EventState   EventKind = "state"   // State changed from From
	EventExit    EventKind = "exit"    // the main process ended; Exit says how
	EventSignal  EventKind = "signal"  // a signal was sent
	EventReload  EventKind = "reload"  // a reload was asked for, or has ended
	EventStray   EventKind = "stray"   // processes left behind were ended
	EventLog     EventKind = "log"     // the log cannot be written, or can again
	EventChange  EventKind = "change"  // the description was added, changed or removed
	EventRolling EventKind = "rolling" // a process beside the main one, in a rolling restart
	EventUpgrade EventKind = "upgrade" // the supervisor goes on in another program
	EventTrouble EventKind = "trouble" // the supervisor itself has difficulties
)

// Event is one thing that happened to a service.
type Event struct {
	ID      uint64 // counts up from 1 in the life of a supervisor
	Time    time.Time
	Service string
	Kind    EventKind
	From    State
	State   State
	PID     int
	Reason  string
	Exit    *Exit
}

// eventLog keeps the last events and tells subscribers of new ones.
type eventLog struct {
	keep int
	last uint64
	ring []Event // up to twice as many as are to be kept
	subs map[*Subscription]struct{}
}

// Subscription delivers events in order.
type Subscription struct {
	events chan Event
	engine *Engine
	lost   chan struct{}
}

// subscriptionBuffer is how far a slow listener may lag behind. It is cut off then, because
// the engine waits for nobody; it can subscribe again from the last ID it had.
const subscriptionBuffer = 256

// Subscribe delivers events from now on, after those kept with an ID above
// after; math.MaxUint64 means none of those.
func (e *Engine) Subscribe(ctx context.Context, after uint64) (past []Event, s *Subscription, err error) {
	s = &Subscription{events: make(chan Event, subscriptionBuffer), engine: e, lost: make(chan struct{})}
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
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	select {
	case ev := <-s.events:
		return ev, nil
	default:
	}
	select {
	case ev := <-s.events:
		return ev, nil
	case <-s.lost:
		return Event{}, ErrLagged
	case <-s.engine.loop.Ended():
		select {
		case ev := <-s.events: // the last ones came with the end
			return ev, nil
		default:
			return Event{}, ErrClosed
		}
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.engine.post(func() { delete(s.engine.events.subs, s) })
}

// emit fills in what an event always has and delivers it.
func (e *Engine) emit(s *service, ev Event) {
	e.events.last++
	ev.ID, ev.Time = e.events.last, time.Now()
	if s != nil {
		ev.Service, ev.State = s.spec.Name, s.state
		if ev.PID == 0 {
			ev.PID = s.PID()
		}
		if s.isSuccessor() || s.isElder() {
			ev = s.ofKin(ev)
		}
	}
	e.events.add(ev)
}

func (l *eventLog) add(ev Event) {
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
