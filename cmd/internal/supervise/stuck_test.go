package supervise

import (
	"context"
	"strings"
	"syscall"
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
		b.is(s, Stopping,
			"process 101 was killed 5s ago and is not gone: it is in state ? of proc(5)")
		b.tells("is not gone", 1)
		b.k.set(func() { b.k.undead = false })
		b.k.die(101, 9)
		b.is(s, Starting, "")
		b.k.die(b.pidOf(s), exited(0))
		<-restarted
	})
}

// tells asserts how many events there were that say so.
func (b *bench) tells(text string, times int) {
	b.Helper()
	past, sub, err := b.Subscribe(context.Background(), 0)
	if err != nil {
		b.Fatal(err)
	}
	sub.Close()
	n := 0
	for _, ev := range past {
		if strings.Contains(ev.Reason, text) {
			n++
		}
	}
	if n != times {
		b.Errorf("told %d times that %s, want %d", n, text, times)
	}
}

// SIGKILL is sent again and again, and told once in each run.
func TestKillOfLeftoversIsToldOnce(t *testing.T) {
	for first, terms := range map[syscall.Signal]int{syscall.SIGTERM: 1, syscall.SIGKILL: 0} {
		bubble(t, func(b *bench) {
			s := b.put(plain("s", func(s *spec.Service) {
				s.Restart, s.Stop = spec.RestartNo,
					spec.StopSchedule{{Signal: spec.SignalOf(first)}}
			}))
			for run := 1; run <= 2; run++ {
				b.up(s)
				left := b.leave(s)
				b.k.set(func() { b.k.undead = true })
				b.k.die(b.pidOf(s), exited(1))
				time.Sleep(time.Minute)
				b.tells("SIGTERM to 1 process left behind", run*terms)
				b.tells("SIGKILL to 1 process left behind", run)
				b.k.set(func() { b.k.undead = false })
				b.k.die(left, 9)
				b.is(s, Failed, "exited with status 1")
			}
		})
	}
}

// The end of the supervisor waits for what was killed before it and is not gone yet.
func TestEndWaitsForTheKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.run()
		s := b.put(plain("s"))
		b.up(s)
		pid := b.pidOf(s)
		b.k.set(func() { b.k.undead = true })
		go func() { _ = b.Stop(context.Background(), "s") }()
		time.Sleep(time.Minute)
		ended := make(chan error, 1)
		go func() { ended <- end() }()
		time.Sleep(time.Minute)
		select {
		case err := <-ended:
			t.Fatal("it has ended before its service:", err)
		default:
		}
		b.k.die(pid, 9)
		if err := <-ended; err != nil || s.State() != Stopped {
			t.Errorf("%v: it is %v", err, s.State())
		}
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
		b.tells("is not gone", 1)
		if n := len(b.k.sent()); n > 800 {
			t.Errorf("%d signals in a minute", n)
		}
		b.k.set(func() { b.k.undead = false })
		b.k.die(left, 9)
		synctest.Wait()
		b.inOwner(func() {
			if s.State() != Stopped ||
				!strings.HasPrefix(s.Reason(), "exited with status 0, and left 1 process behind") {
				t.Errorf("%v: %s", s.State(), s.Reason())
			}
		})
	})
}
