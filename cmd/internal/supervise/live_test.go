package supervise

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// everySecond asks a command whether a service is alive.
func everySecond(c *spec.Service) {
	c.Liveness = spec.Liveness{
		Check:    spec.Probe{Kind: spec.ProbeCmd, Target: "/bin/false"},
		Interval: new(spec.Duration(time.Second)), Threshold: new(3),
	}
}

// TestLivenessThreshold: as many failures in a row as are described end a service, and not one
// more.
func TestLivenessThreshold(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(c *spec.Service) {
			c.Restart = spec.RestartNo
			everySecond(c)
		}))
		b.up(s)
		for _, code := range []int{1, 1, 0, 1, 1, 1} {
			b.is(s, Ready, "")
			time.Sleep(time.Second)
			synctest.Wait()
			var check int
			b.k.set(func() { check = b.k.next })
			b.k.die(check, exited(code))
		}
		b.is(s, Failed, "not alive: cmd:/bin/false: exited with status 1, 3 times")
	})
}

// TestLivenessIsTakenAway: a description without a check ends what is being checked.
func TestLivenessIsTakenAway(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", everySecond))
		b.up(s)
		b.inOwner(func() { b.update(plain("s"), Apply{}) })
		var before, after int
		b.k.set(func() { before = b.k.next })
		time.Sleep(time.Minute)
		b.k.set(func() { after = b.k.next })
		if after != before {
			t.Errorf("%d checks", after-before)
		}
		b.is(s, Ready, "")
	})
}

// TestWatchdogBeginsWhenReady: who says WATCHDOG=1 on its way up has the time of a start.
func TestWatchdogBeginsWhenReady(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Watchdog, s.Restart = spec.Duration(time.Second), spec.RestartNo
		}))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		b.say(s, notify.Message{Watchdog: true})
		time.Sleep(10 * time.Second)
		b.is(s, Starting, "")
	})
}

// TestWatchdogIsAskedFor: WATCHDOG_USEC= of a service without a watchdog begins one.
func TestWatchdogIsAskedFor(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		b.up(s)
		b.say(s, notify.Message{WatchdogInterval: new(2 * time.Second)})
		time.Sleep(1900 * time.Millisecond)
		b.is(s, Ready, "")
		time.Sleep(200 * time.Millisecond)
		b.is(s, Failed, "no WATCHDOG=1 within 2s")
	})
}

// TestMemoryLimitIsAllowed: a service is restarted when it has more than that, and not as much.
func TestMemoryLimitIsAllowed(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Limits.MemoryRestart, s.Restart = 8<<20, spec.RestartNo
		}))
		b.up(s)
		b.k.set(func() { b.k.grown = 7 << 20 })
		time.Sleep(5 * time.Second)
		b.is(s, Ready, "")
		b.k.set(func() { b.k.grown++ })
		time.Sleep(2 * time.Second)
		b.is(s, Failed, "uses 8388609B of memory, more than 8MiB")
	})
}
