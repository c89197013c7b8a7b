package supervise

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A process that has become another user's is not waited for by who has asked for the end: not by a
// stop, a restart or a removal, and not by the end of the supervisor.
func TestProcessOfAnotherUser(t *testing.T) {
	for name, rest := range map[string]bool{"main process": false, "left behind": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				s := b.put(plain("s", twoSteps))
				b.up(s)
				pid := b.pidOf(s)
				if rest {
					pid = b.leave(s)
				}
				b.k.set(func() { b.k.refuses = []int{pid} })
				for _, end := range []func(context.Context, ...string) error{b.Stop, b.Restart, b.Remove} {
					began := time.Now()
					err := end(context.Background(), "s")
					if refused, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(refused.Reason, "another user's") {
						t.Errorf("said %v", err)
					}
					if d := time.Since(began); d > time.Second {
						t.Errorf("said after %v", d)
					}
				}
				b.inOwner(func() {
					if s.State() != Stopping || s.Reason() != s.WhyRefused() {
						t.Errorf("%v: %q", s.State(), s.Reason())
					}
				})
				time.Sleep(time.Minute)
			})
		})
	}
}

// When it ends after all the service goes on.
func TestProcessOfAnotherUserEnds(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		pid := b.pidOf(s)
		b.k.set(func() { b.k.refuses = []int{pid} })
		if b.Restart(context.Background(), "s") == nil {
			t.Error("restarted")
		}
		b.k.die(pid, exited(0))
		b.is(s, Starting, "")
	})
}
