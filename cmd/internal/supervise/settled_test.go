package supervise

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/spec"
)

// TestSettledService: without a word about readiness a service is up when it has come to rest, and
// not before; one that is never at rest, when its time is over.
func TestSettledService(t *testing.T) {
	if probe.DefaultWindow != time.Duration(spec.DefaultSettled) {
		t.Error("the window is not what is documented")
	}
	settled := func(c *spec.Service) { c.Ready = spec.Probe{} }
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.run()
		s, busy := b.put(plain("s", settled)), b.put(plain("busy", settled, func(c *spec.Service) {
			c.Timeout = new(spec.Duration(4 * time.Second))
		}))
		b.k.set(func() { b.k.busy = true })
		b.inOwner(func() { s.Wanted = true; s.Start() })
		time.Sleep(3 * time.Second)
		b.is(s, Starting, "")
		b.k.set(func() { b.k.busy = false })
		time.Sleep(200 * time.Millisecond)
		b.is(s, Starting, "")
		time.Sleep(100 * time.Millisecond)
		b.is(s, Ready, "")

		b.k.set(func() { b.k.busy = true })
		b.inOwner(func() { busy.Wanted = true; busy.Start() })
		time.Sleep(3900 * time.Millisecond)
		b.is(busy, Starting, "")
		time.Sleep(200 * time.Millisecond)
		b.is(busy, Ready, "counts as up: busy for 4s")

		// Who dies meanwhile is not called up.
		b.k.die(b.pidOf(s), exited(1))
		time.Sleep(time.Second)
		pid := b.pidOf(s)
		b.k.set(func() { b.k.busy = false })
		time.Sleep(200 * time.Millisecond)
		b.is(s, Starting, "")
		b.k.die(pid, exited(3))
		time.Sleep(50 * time.Millisecond)
		b.inOwner(func() {
			if s.State() == Ready {
				t.Error("it has died and is ready")
			}
		})
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestSettledAndSaid: who is to come to rest and says READY=1 is not up while it still loads, is
// when it rests, and is taken at its word in the end.
func TestSettledAndSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.run()
		s := b.put(plain("s", func(c *spec.Service) { c.Ready = spec.Probe{} }))
		start := func(busy bool) {
			b.k.set(func() { b.k.busy = busy })
			b.inOwner(func() { s.Wanted = true; s.Start() })
			time.Sleep(50 * time.Millisecond)
			b.say(s, readyMessage)
		}
		start(true)
		time.Sleep(time.Second)
		b.is(s, Starting, "")
		b.say(s, readyMessage) // again, which begins nothing anew
		b.k.set(func() { b.k.busy = false })
		time.Sleep(200 * time.Millisecond)
		b.is(s, Starting, "")
		time.Sleep(100 * time.Millisecond)
		b.is(s, Ready, "")
		b.inOwner(func() { s.Wanted = false; s.Stop("") })
		time.Sleep(time.Second)

		start(true)
		time.Sleep(3 * time.Second)
		b.say(s, readyMessage)
		time.Sleep(1900 * time.Millisecond)
		b.is(s, Starting, "")
		time.Sleep(200 * time.Millisecond)
		b.is(s, Ready, "counts as up: busy for 5s")
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestMemoryIsLookedAtEverySecond: whatever the interval of liveness is, and again after a restart.
func TestMemoryIsLookedAtEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.run()
		s := b.put(plain("s", func(c *spec.Service) {
			c.Ready, c.Limits.MemoryRestart = spec.Probe{Kind: spec.ProbeExec}, 8<<20
			c.Liveness.Interval = new(spec.Duration(time.Hour))
		}))
		b.inOwner(func() { s.Wanted = true; s.Start() })
		time.Sleep(5 * time.Second)
		first := b.pidOf(s)
		b.k.set(func() { b.k.grown = 16 << 20 })
		time.Sleep(1100 * time.Millisecond)
		b.k.set(func() { b.k.grown = 0 })
		time.Sleep(time.Second)
		second := b.pidOf(s)
		if second == first || second == 0 {
			t.Errorf("process %d, then %d: not restarted", first, second)
		}
		b.is(s, Ready, "")
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
