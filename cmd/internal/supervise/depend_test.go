package supervise

import (
	"context"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/spec"
)

// Who does not wait any more when its turn has come to look again is left as it is.
func TestWaitsNoLonger(t *testing.T) {
	bubble(t, func(b *bench) {
		a, needer := b.put(plain("a")), b.put(plain("b", requires("a")))
		b.inOwner(func() { b.want([]*service{needer}, waiters.Start) })
		b.is(needer, Waiting, "waits for a")
		b.inOwner(func() {
			b.unwant([]*service{a}, "first", waiters.Stop) // for which b is to look again
			b.unwant([]*service{needer}, "second", waiters.Stop)
		})
		b.is(needer, Stopped, "second")
	})
}

// A service that waits learns that it comes after others by now, also if nobody asks for its start.
func TestWaitsAsDescribed(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put(plain("a"))
		s := b.put(plain("s", requires("a")))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		b.is(s, Waiting, "waits for a")
		if _, err := b.Apply(context.Background(),
			Apply{Services: []spec.Service{plain("s")}, NoStart: true}); err != nil {
			t.Error(err)
		}
		b.is(s, Starting, "")
	})
}

// What is wanted, or only comes before, is waited for while it is on its way up, and not when it is
// being ended for good.
func TestWantedIsWaitedForOnItsWay(t *testing.T) {
	for name, names := range map[string]func(*spec.Service){
		"wants": func(s *spec.Service) { s.Wants = []string{"a"} },
		"after": func(s *spec.Service) { s.After = []string{"a"} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				a, s := b.put(plain("a")), b.put(plain("s", names))
				b.inOwner(func() { b.want([]*service{a, s}, waiters.Start) })
				b.is(s, Waiting, "waits for a")
				b.say(a, readyMessage)
				b.is(s, Starting, "")
				b.deafen(a)
				stopped := b.stops("s", "a")
				b.is(a, Stopping, "stopped")
				b.inOwner(func() { b.want([]*service{b.put(plain("late", names))}, waiters.Start) })
				b.is(b.named("late"), Starting, "")
				go func() { _ = b.Start(context.Background(), "a") }() // again, after its end
				b.inOwner(func() {
					b.want([]*service{b.put(plain("later", names))}, waiters.Start)
				})
				b.is(b.named("later"), Waiting, "waits for a")
				if err := <-stopped; text(err) != "a: stop: overtaken by a later start" {
					t.Error(err)
				}
			})
		})
	}
}

// Of several that stand in the way the one is told that does not go by itself.
func TestHopelessObstacleIsTold(t *testing.T) {
	bubble(t, func(b *bench) {
		a, c := b.put(plain("a")),
			b.put(plain("c", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		s := b.put(plain("s", requires("a", "c")))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		b.crash(a)
		b.crash(a)
		b.crash(c)
		b.is(a, Backoff, "exited with status 1 before it was ready")
		b.is(s, Waiting, "waits for a (backoff), c (failed)")
		b.inOwner(func() {
			if s.obstacle.Service != c || !s.obstacle.Hopeless {
				t.Errorf("%q stands in the way, hopeless %v", s.obstacle.Text, s.obstacle.Hopeless)
			}
		})
	})
}
