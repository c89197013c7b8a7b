package supervise

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
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
				for _, end := range []func(context.Context, ...string) error{
					b.Stop, b.Restart, b.Remove,
				} {
					began := time.Now()
					err := end(context.Background(), "s")
					if refused, ok := errors.AsType[*waiters.Error](err); !ok ||
						!strings.Contains(refused.Reason, "another user's") {
						t.Errorf("said %v", err)
					}
					if d := time.Since(began); d > time.Second {
						t.Errorf("said after %v", d)
					}
				}
				// until SIGKILL was refused too, and longer than that may take
				time.Sleep(time.Minute)
				b.inOwner(func() {
					if s.State() != Stopping || s.Reason() != s.WhyRefused() {
						t.Errorf("%v: %q", s.State(), s.Reason())
					}
				})
			})
		})
	}
}

// When it ends, and others are left behind that can be ended, the end is waited for again.
func TestLeftoverOfAnotherUserEnds(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", twoSteps))
		b.up(s)
		refuses := b.leave(s)
		b.leave(s)
		b.k.set(func() { b.k.refuses = []int{refuses} })
		if b.Stop(context.Background(), "s") == nil {
			t.Error("stopped")
		}
		b.k.die(refuses, exited(0))
		synctest.Wait() // or the stop may be asked for before the end is seen
		if err := b.Stop(context.Background(), "s"); err != nil {
			t.Error(err)
		}
		b.is(s, Stopped, "stopped")
	})
}

// The end of the supervisor gives it the time of the schedule to end by itself, and leaves it to
// the next supervisor after that.
func TestProcessOfAnotherUserAtTheEnd(t *testing.T) {
	for name, ends := range map[string]bool{"ends in time": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				end := b.run()
				s := b.put(plain("s", twoSteps))
				b.up(s)
				pid := b.pidOf(s)
				b.k.set(func() { b.k.refuses = []int{pid} })
				ended := make(chan error, 1)
				go func() { ended <- end() }()
				time.Sleep(14 * time.Second)
				if ends {
					b.k.die(pid, exited(0))
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if left := b.leavesBehind(); left == ends || (s.State() == Failed) != left {
					t.Errorf("left behind: %v; it is %v", left, s.State())
				}
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

// A refusal does not outlive the process that may not be signalled: what else there is of the
// service, or comes after it, is ended and waited for.
func TestRefusalEndsWithItsProcess(t *testing.T) {
	for name, of := range map[string]func(b *bench, s *service) (pid int){
		"main process": func(b *bench, s *service) int { return b.pidOf(s) },
		"left behind":  func(b *bench, s *service) int { return b.leave(s) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				s := b.put(plain("s"))
				b.up(s)
				b.leave(s)
				pid := of(b, s)
				b.k.set(func() { b.k.refuses = []int{pid} })
				if b.Stop(context.Background(), "s") == nil {
					t.Error("stopped, and its process lives")
				}
				b.k.die(pid, exited(0))
				synctest.Wait()
				if err := b.Stop(context.Background(), "s"); err != nil {
					t.Error(err)
				}
				b.inOwner(func() {
					if s.State() != Stopped {
						t.Errorf("it is %v", s.State())
					}
				})
			})
		})
	}
}
