package supervise

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// What sleeps in the kernel outlives SIGKILL: that is told, nothing else is started beside it, and
// when it goes all goes on.
func TestKilledAndNotGone(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		b.k.set(func() { b.k.undead = true })
		restarted := make(chan error, 1)
		go func() { restarted <- b.Restart(context.Background(), "s") }()
		time.Sleep(time.Minute)
		b.is(s, Stopping, "process 101 was killed 5s ago and is not gone: it is in state ? of proc(5)")
		told := 0
		past, sub, err := b.Subscribe(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		sub.Close()
		for _, ev := range past {
			if strings.Contains(ev.Reason, "is not gone") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		b.k.set(func() { b.k.undead = false })
		b.k.die(101, 9)
		b.is(s, Starting, "")
		b.k.die(b.pidOf(s), exited(0))
		<-restarted
	})
}

// The same of what a service has left behind. It is looked at again and again, and not in haste.
func TestLeftoverKilledAndNotGone(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		b.up(s)
		left := b.k.adopt(b.pidOf(s))
		b.k.set(func() { b.k.undead = true })
		b.k.die(b.pidOf(s), exited(0))
		time.Sleep(time.Minute)
		b.inOwner(func() {
			if s.State() != Stopping || !strings.Contains(s.Reason(), "is not gone") {
				t.Errorf("%v: %s", s.State(), s.Reason())
			}
		})
		if n := len(b.k.sent()); n > 800 {
			t.Errorf("%d signals in a minute", n)
		}
		b.k.set(func() { b.k.undead = false })
		b.k.die(left, 9)
		synctest.Wait()
		b.inOwner(func() {
			if s.State() != Stopped || !strings.HasPrefix(s.Reason(), "exited with status 0, and left 1 process behind") {
				t.Errorf("%v: %s", s.State(), s.Reason())
			}
		})
	})
}
