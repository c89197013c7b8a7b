package supervise

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// stops asks for services to be stopped, and returns when that is under way.
func (b *bench) stops(names ...string) (answer chan error) {
	answer = make(chan error, 1)
	go func() { answer <- b.Stop(context.Background(), names...) }()
	synctest.Wait()
	return answer
}

// started is how many processes have been started so far.
func (b *bench) started() (n int) {
	b.k.set(func() { n = b.k.next })
	return n
}

// deafen has the main process of s take no signal but KILL.
func (b *bench) deafen(s *service) {
	b.Helper()
	pid := b.pidOf(s)
	b.k.set(func() { b.k.deafOnes = append(b.k.deafOnes, pid) })
}

// What holds its stop for what needs it is not looked at meanwhile, whether it was ready or is just
// being started.
func TestHeldIsNotWatched(t *testing.T) {
	for _, starting := range []bool{false, true} {
		bubble(t, func(b *bench) {
			a, needer := b.put(plain("a", func(s *spec.Service) {
				s.Liveness.Check = spec.Probe{Kind: spec.ProbeCmd, Target: "/bin/true"}
				s.Liveness.Interval = new(spec.Duration(time.Second))
			})), b.put(plain("b", requires("a")))
			b.up(a)
			b.up(needer)
			b.deafen(needer)
			if starting {
				b.k.set(func() { b.k.slow = true })
				b.crash(a)
			}
			stopped := b.stops()
			if starting {
				b.is(a, Stopping, "stopped")
				time.Sleep(spawnTime)
			}
			before := b.started()
			b.inOwner(func() {
				changed := a.Spec().Clone()
				changed.Liveness.Interval = new(spec.Duration(2 * time.Second))
				b.update(changed, Apply{})
			})
			time.Sleep(5 * time.Second)
			b.inOwner(func() {
				b.check()
				if n := b.started() - before; n > 0 || !a.Holds() {
					t.Errorf("starting %v: %d commands were run, holding %v",
						starting, n, a.Holds())
				}
			})
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

// A stop that is held goes on when what it is held for does not need the service any more, as well
// as when that has gone.
func TestHoldEndsWithTheNeed(t *testing.T) {
	bubble(t, func(b *bench) {
		a, needer := b.put(plain("a")), b.put(plain("b", requires("a")))
		b.up(a)
		b.up(needer)
		b.deafen(needer)
		stopped := b.stops()
		b.is(a, Stopping, "stopped")
		if _, err := b.Apply(context.Background(),
			Apply{Services: []spec.Service{plain("b")}}); err != nil {
			t.Error(err)
		}
		b.is(a, Stopped, "stopped")
		b.is(needer, Stopping, "stopped")
		select {
		case err := <-stopped:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Hour):
			t.Error("no answer")
		}
	})
}

// What holds its stop goes on once, whoever lets it go, and is down when its process ends
// meanwhile.
func TestHeldIsReleasedOnce(t *testing.T) {
	held := func(b *bench) (a, one, two *service, stopped chan error) {
		a, one, two = b.put(plain("a", twoSteps)), b.put(plain("b", requires("a"))),
			b.put(plain("c", requires("a")))
		for _, s := range []*service{a, one, two} {
			b.up(s)
			b.deafen(s)
		}
		stopped = b.stops()
		b.k.sent()
		return a, one, two, stopped
	}
	t.Run("by two at once", func(t *testing.T) {
		bubble(t, func(b *bench) {
			a, one, two, stopped := held(b)
			pid := b.pidOf(a)
			b.inOwner(func() { b.k.die(one.PID(), 15); b.k.die(two.PID(), 15) })
			b.sends(0, fmt.Sprint(pid, " SIGTERM"))
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("by the end of patience", func(t *testing.T) {
		bubble(t, func(b *bench) {
			a, _, _, stopped := held(b)
			pid := b.pidOf(a)
			if err := b.Signal(context.Background(), syscall.SIGKILL, "a"); err != nil {
				t.Error(err)
			}
			b.sends(0, fmt.Sprint(pid, " SIGKILL"))
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("by its own end", func(t *testing.T) {
		bubble(t, func(b *bench) {
			a, _, _, stopped := held(b)
			b.crash(a)
			b.is(a, Stopped, "stopped, exited with status 1")
			b.inOwner(b.check)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	})
}

// Who needs a service goes before it, also if it was being ended already, for a failure of its own;
// and a service that has failed waits for nobody.
func TestFailureAndStop(t *testing.T) {
	both := func(b *bench) (a, needer *service) {
		a, needer = b.put(plain("a")), b.put(plain("b", requires("a")))
		for _, s := range []*service{a, needer} {
			b.up(s)
			b.deafen(s)
		}
		return a, needer
	}
	fails := notify.Message{WatchdogTrigger: true}
	t.Run("the one in need has failed", func(t *testing.T) {
		bubble(t, func(b *bench) {
			_, needer := both(b)
			b.say(needer, fails)
			b.sends(0, "102 SIGTERM")
			stopped := b.stops()
			b.sends(9 * time.Second)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("the needed one fails", func(t *testing.T) {
		bubble(t, func(b *bench) {
			a, _ := both(b)
			stopped := b.stops("b")
			b.say(a, fails)
			b.sends(0, "102 SIGTERM", "101 SIGTERM")
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	})
}

// A restart of several ends them in order as a stop does, and starts what they need besides.
func TestRestartInOrder(t *testing.T) {
	bubble(t, func(b *bench) {
		a, needer := b.put(plain("a")), b.put(plain("b", requires("a")))
		go func() { _ = b.Restart(context.Background(), "b") }()
		b.is(a, Starting, "")
		b.say(a, readyMessage)
		b.say(needer, readyMessage)
		b.deafen(needer)
		go func() { _ = b.Restart(context.Background()) }()
		b.sends(9*time.Second, "102 SIGTERM")
		b.is(a, Stopping, "restart")
		b.sends(time.Second, "102 SIGKILL", "101 SIGTERM")
	})
}

// The end of patience is of one stop: the next one takes its time again.
func TestPatienceComesBack(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps))
		for range 2 {
			go func() { _ = b.Start(context.Background(), "s") }()
			b.say(s, readyMessage)
			left, pid := b.leave(s), b.pidOf(s)
			stopped := b.stops("s")
			b.sends(time.Second, fmt.Sprint(pid, " SIGTERM"), fmt.Sprint(left, " SIGTERM"))
			if err := b.Signal(context.Background(), syscall.SIGKILL, "s"); err != nil {
				t.Error(err)
			}
			b.sends(0, fmt.Sprint(left, " SIGKILL"))
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		}
	})
}

// Time that is asked for during a stop is time for the stop, also of who was reloading when it
// began.
func TestStopOfTheReloadingIsExtended(t *testing.T) {
	bubble(t, func(b *bench) {
		b.k.deaf = true
		s := b.put(plain("s", twoSteps))
		b.up(s)
		b.say(s, notify.Message{Reloading: true})
		stopped := b.stops()
		b.say(s, notify.Message{ExtendTimeout: 20 * time.Second})
		b.k.sent()
		b.sends(20*time.Second - 1)
		b.sends(1, "101 SIGINT")
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
