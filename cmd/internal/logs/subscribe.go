package logs

import (
	"context"
	"sync"
)

// tapMax bounds what waits for a subscriber that does not ask.
const tapMax = 1 << 20

// Subscription is a listener to one stream. What a slow listener has not asked for
// beyond 1 MiB is counted, not kept: it is in the log file.
type Subscription struct {
	s    *Stream
	wake chan struct{}

	mu     sync.Mutex
	buf    []byte
	lost   int64
	closed bool
}

// Next waits for output and returns all there is, cut anywhere. The bytes are the caller's.
// ErrClosed: the stream or the subscription was closed.
func (sub *Subscription) Next(ctx context.Context) ([]byte, error) {
	for {
		if p, err := sub.take(); p != nil || err != nil {
			return p, err
		}
		select {
		case <-sub.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (sub *Subscription) put(p []byte) {
	sub.mu.Lock()
	if room := tapMax - len(sub.buf); len(p) > room {
		sub.lost += int64(len(p) - room)
		p = p[:room]
	}
	sub.buf = append(sub.buf, p...)
	sub.mu.Unlock()
	sub.signal()
}

func (sub *Subscription) signal() {
	select {
	case sub.wake <- struct{}{}:
	default: // Next will find it
	}
}

func (sub *Subscription) take() ([]byte, error) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if len(sub.buf) == 0 {
		if sub.closed {
			return nil, ErrClosed
		}
		return nil, nil
	}
	p := sub.buf
	sub.buf = nil
	return p, nil
}

// end lets the listener take what is left, then tells it ErrClosed.
func (sub *Subscription) end() {
	sub.mu.Lock()
	sub.closed = true
	sub.mu.Unlock()
	sub.signal()
}

// Lost returns how many bytes the listener was too slow for.
func (sub *Subscription) Lost() int64 {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.lost
}

// Close ends the subscription.
func (sub *Subscription) Close() {
	sub.s.w.post(func() { sub.s.removeTap(sub) })
	sub.end()
}

func (s *Stream) removeTap(sub *Subscription) {
	for i, t := range s.taps {
		if t == sub {
			s.taps = append(s.taps[:i], s.taps[i+1:]...)
			return
		}
	}
}
