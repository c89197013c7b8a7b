package supervise

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// Who goes away while several services are waited for waits for none of them any more.
func TestGiveUp(t *testing.T) {
	bubble(t, func(b *bench) {
		one, two, three := b.put(plain("one")), b.put(plain("two")), b.put(plain("three"))
		ctx, cancel := context.WithCancel(context.Background())
		answer := make(chan error, 1)
		go func() { answer <- b.Start(ctx, "one", "two", "three") }()
		synctest.Wait()
		b.say(one, readyMessage)
		cancel()
		isNot(t, <-answer, context.Canceled)
		b.inOwner(func() {
			if len(one.waiters)+len(two.waiters)+len(three.waiters) > 0 {
				t.Errorf("%d wait for the second, %d for the third",
					len(two.waiters), len(three.waiters))
			}
		})
	})
}

// A service that crashes on its way up is waited for within its time-out, and not longer than is
// reasonable.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		limits := map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: patience}
		for timeout, want := range limits {
			s := b.put(plain("s",
				func(s *spec.Service) { s.Timeout = new(spec.Duration(timeout)) }))
			if got := time.Until(s.newWaiter(waiter{}).until); got != want {
				t.Errorf("time-out %v: %v, want %v", timeout, got, want)
			}
		}
	})
}

// Who waits for what has not been started yet waits on; what was stopped by hand is not to be
// started.
func TestWaitForTheHeld(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		isNot(t, b.Wait(ctx, Ready, "s"), context.DeadlineExceeded)
		if err := b.Stop(context.Background(), "s"); err != nil {
			t.Error(err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, ok := errors.AsType[*StartError](b.Wait(ctx, Ready, "s")); !ok {
			t.Error("it is waited for")
		}
		b.is(s, Stopped, "")
	})
}
