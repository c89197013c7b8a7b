package supervise

import (
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/spec"
)

// A oneshot is up when it has ended well, whatever time it was to settle in.
func TestOneshotDoesNotSettle(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Type, s.Remain = spec.Oneshot, true
			s.Ready = spec.Probe{Kind: spec.ProbeSettle, Settle: spec.Duration(time.Second)}
		}))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		time.Sleep(10 * time.Second)
		b.is(s, Starting, "")
		b.k.die(b.pidOf(s), exited(0))
		b.is(s, Ready, "completed")
	})
}

// A readiness command is run again soon, however often it has failed, and when the time is over it
// is said what it answered last.
func TestReadyCommand(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Restart, s.Ready = spec.RestartNo,
				spec.Probe{Kind: spec.ProbeCmd, Target: "/bin/false"}
		}))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		main, last := b.pidOf(s), time.Now()
		var longest time.Duration
		for seen, began := main, time.Now(); time.Since(began) < 31*time.Second; {
			time.Sleep(time.Millisecond)
			var pid int
			b.k.set(func() { pid = b.k.next })
			if pid == seen {
				continue
			}
			longest, last, seen = max(longest, time.Since(last)), time.Now(), pid
			b.k.die(pid, exited(4))
			b.inOwner(func() {})
		}
		if longest < 250*time.Millisecond || longest > 260*time.Millisecond {
			t.Errorf("the longest pause was %v", longest)
		}
		b.is(s, Failed, "not ready within 30s (cmd:/bin/false): exited with status 4")
	})
}
