// Package events keeps the last events of a supervisor and tells those who listen of new ones.
package events

import (
	"context"
	"errors"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/control"
)

// ErrLagged is the end of a subscription whose listener was too slow.
var ErrLagged = errors.New("too slow: events were missed")

// Log is the owner's of a loop, but for Subscribe.
type Log struct {
	loop *loop.Loop
	keep int
	last uint64
	ring []control.Event // up to twice as many as are to be kept
	subs map[*Subscription]struct{}
}

// New makes a log that keeps so many past events for late listeners and counts on from an ID.
func New(l *loop.Loop, keep int, last uint64) *Log {
	return &Log{loop: l, keep: keep, last: last, subs: map[*Subscription]struct{}{}}
}

// Last is the ID of the last event.
func (l *Log) Last() uint64 { return l.last }

// Add gives an event its ID and time, and delivers it.
func (l *Log) Add(ev control.Event) {
	l.last++
	ev.ID, ev.Time = l.last, time.Now()
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

// Subscription delivers events in order.
type Subscription struct {
	log    *Log
	events chan control.Event
	lost   chan struct{}
}

// buffered is how far a slow listener may lag behind. It is cut off then, because the owner waits
// for nobody; it can subscribe again from the last ID it had.
const buffered = 256

// Subscribe delivers events from now on, after those kept with an ID above after; math.MaxUint64
// means none of those. It may be called by any goroutine.
func (l *Log) Subscribe(
	ctx context.Context, after uint64,
) (past []control.Event, s *Subscription, err error) {
	s = &Subscription{log: l, events: make(chan control.Event, buffered), lost: make(chan struct{})}
	err = l.loop.Ask(ctx, func() {
		for _, ev := range l.ring {
			if ev.ID > after {
				past = append(past, ev)
			}
		}
		l.subs[s] = struct{}{}
	})
	return past, s, err
}

// Next waits for the next event. After ErrLagged, and when the loop has ended, there is none.
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
	case <-s.log.loop.Ended():
	case <-ctx.Done():
		return control.Event{}, context.Cause(ctx)
	}
	return loop.Await(ctx, s.log.loop, s.events) // the last ones came with the end
}

// Close ends the subscription. It may be called by any goroutine.
func (s *Subscription) Close() { s.log.loop.Post(func() { delete(s.log.subs, s) }) }
