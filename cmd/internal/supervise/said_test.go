package supervise

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// RESTART_RESET=1 has the next crash be the first: it is within the budget, and has no delay.
func TestRestartReset(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Budget.Restarts = new(1) }))
		b.up(s)
		for range 3 {
			b.crash(s)
			b.is(s, Starting, "")
			b.say(s, notify.Message{Ready: true, RestartReset: true})
		}
		b.crash(s)
		b.crash(s)
		b.inOwner(func() {
			if s.State() != Failed {
				t.Errorf("it is %v, and was restarted twice", s.State())
			}
		})
	})
}

// ERRNO=0 takes nothing back but an error.
func TestErrnoZero(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		b.say(s, notify.Message{Status: new("serves")})
		b.say(s, notify.Message{Errno: new(syscall.Errno)})
		b.inOwner(func() {
			if s.Text() != "serves" {
				t.Errorf("status %q", s.Text())
			}
		})
	})
}

// EXTEND_TIMEOUT_USEC= is no use to what is being killed.
func TestNoMoreTimeForTheKilled(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.NotifyAccess = spec.NotifyAll }))
		b.up(s)
		left := b.leave(s)
		b.k.set(func() { b.k.undead = true })
		b.k.die(b.pidOf(s), exited(1))
		time.Sleep(11 * time.Second)
		b.sayAs(left, notify.Message{ExtendTimeout: time.Hour})
		b.k.sent()
		time.Sleep(time.Second)
		if len(b.k.sent()) == 0 {
			t.Error("it is not killed any more")
		}
		b.k.set(func() { b.k.undead = false })
		b.k.die(left, 9)
	})
}

// A reload that the service has announced has the time of a start, more if it asks for it, and is
// told of if it does not come to its end: once, and to those who wait for the service to be up.
func TestReloadHasItsTime(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		b.say(s, notify.Message{Reloading: true}) // which means nothing before it is up
		b.say(s, readyMessage)
		start := func() chan error {
			answer := make(chan error, 1)
			go func() { answer <- b.Start(context.Background(), "s") }()
			synctest.Wait()
			return answer
		}
		if err := <-start(); err != nil {
			t.Error(err)
		}
		b.say(s, notify.Message{Reloading: true})
		b.say(s, readyMessage)
		time.Sleep(time.Hour)
		b.tells("not ready again", 0)

		b.say(s, notify.Message{Reloading: true})
		waits := start()
		time.Sleep(29 * time.Second)
		b.say(s, notify.Message{ExtendTimeout: 20 * time.Second})
		time.Sleep(19 * time.Second)
		b.tells("not ready again", 0)
		if len(waits) > 0 {
			t.Error("it is up while it reloads")
		}
		time.Sleep(2 * time.Second)
		b.tells("not ready again", 1)
		for _, answer := range []func() chan error{func() chan error { return waits }, start} {
			select {
			case err := <-answer():
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Hour):
				t.Error("it is waited for for ever")
			}
		}
	})
}
