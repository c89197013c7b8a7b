// Package loop runs functions, one after the other, in the goroutine that owns a state; its work
// elsewhere, and its timers.
package loop

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Loop carries functions to the owner of a state in the order in which they were posted. The owner
// waits for Wake and calls Run. It never fills, so that nobody, the owner least of all, waits when
// posting. What could flood it waits for its own answer (Ask).
type Loop struct {
	mu     sync.Mutex
	posted []func()
	wake   chan struct{} // holds a token when posted is not empty

	ended  chan struct{}
	closed error // what is answered after the end

	// The owner's.
	jobs jobs
	late time.Duration
}

// New makes a loop. Who asks after its end gets the error closed.
func New(closed error) *Loop {
	return &Loop{
		wake: make(chan struct{}, 1), ended: make(chan struct{}), closed: closed,
		jobs: jobs{most: 2 * runtime.GOMAXPROCS(0)},
	}
}

// Post has f run by the owner, after what it is doing now. After the end f is dropped.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	l.posted = append(l.posted, f)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Wake has a token when Run has something to do.
func (l *Loop) Wake() <-chan struct{} { return l.wake }

// Run runs what has been posted until now, and returns how much that was.
func (l *Loop) Run() int {
	l.mu.Lock()
	list := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range list {
		f()
	}
	return len(list)
}

// End is called once, when the owner is not there any more.
func (l *Loop) End() { close(l.ended) }

// Ended is closed after End.
func (l *Loop) Ended() <-chan struct{} { return l.ended }

// Ask has f run by the owner and returns when that is done. If it returns an error, f was not run
// and never will be.
func (l *Loop) Ask(ctx context.Context, f func()) error { return l.AskAnd(ctx, func() {}, f) }

// AskAnd is Ask that calls posted when f has been posted.
func (l *Loop) AskAnd(ctx context.Context, posted, f func()) error {
	done := make(chan struct{})
	var claimed atomic.Bool // by the owner or by the end of ctx
	l.Post(func() {
		if claimed.CompareAndSwap(false, true) {
			f()
			close(done)
		}
	})
	posted()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		if claimed.CompareAndSwap(false, true) {
			return context.Cause(ctx)
		}
		<-done // it is being run at this moment
		return nil
	case <-l.ended:
		select {
		case <-done:
			return nil
		default:
			return l.closed
		}
	}
}

// Await returns what comes from a channel that has room for one answer: also one that comes with
// the end of ctx or of the loop, which otherwise is the error.
func Await[T any](ctx context.Context, l *Loop, answer <-chan T) (T, error) {
	var end error
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		end = context.Cause(ctx)
	case <-l.ended:
		end = l.closed
	}
	select {
	case v := <-answer:
		return v, nil
	default:
		var none T
		return none, end
	}
}
