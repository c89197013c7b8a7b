package supervise

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// TestReplacementInEveryState has a second process become ready whatever has become of the first
// meanwhile, and end whatever has become of the first.
func TestReplacementInEveryState(t *testing.T) {
	for _, state := range allStates {
		t.Run(string(state)+"/takes its place", func(t *testing.T) {
			b, old, h, told := withReplacement(t, state)
			if state == Stopped || state == Stopping {
				old.Wanted = true // it came to that by itself; see TestReplacementOfTheUnwanted
			}
			b.heard(h.PID(), notify.Message{Ready: true})
			if b.services.Named("s") != h || h.State() != Ready || h.registered() != h ||
				old.Role() == lifecycle.Replacement {
				t.Errorf("the replacement is %v, registered: %v", h.State(),
					b.services.Named("s") == h)
			}
			b.check2(h, old)
			b.end(old)
			b.check2(h, nil)
			if len(h.rolling.replaced) > 0 || h.rolling.replacement != nil ||
				old.State() != Stopped {
				t.Errorf("left: %+v, the old one is %v", h.rolling, old.State())
			}
			if len(*told) != 1 || (*told)[0] != nil {
				t.Errorf("told %v", *told)
			}
			b.unwant([]*service{h}, "test", waiters.Stop)
			b.end(h)
			b.check2(h, nil)
		})
		t.Run(string(state)+"/fails", func(t *testing.T) {
			b, old, h, told := withReplacement(t, state)
			b.k.die(h.PID(), exited(1))
			b.procs.Reap()
			b.settle()
			if b.services.Named("s") != old || old.State() != state || h.State() != Stopped ||
				old.rolling.replacement != nil {
				t.Errorf("the old one is %v, the replacement %v", old.State(), h.State())
			}
			b.check2(old, nil)
			if len(*told) != 1 || (*told)[0] == nil {
				t.Errorf("told %v", *told)
			}
		})
	}
}

// withReplacement puts a service into a state and starts a second process of it.
func withReplacement(t *testing.T, state control.State) (*bench, *service, *service, *[]error) {
	b := newBench(t)
	old := b.put(plain("s"))
	b.place(old, state)
	told := new([]error)
	h := b.startReplacement(old, func(err error) { *told = append(*told, err) })
	b.settle()
	if h.State() != Starting || h.PID() == 0 || b.services.Named("s") != old {
		t.Fatalf("the replacement is %v", h.State())
	}
	return b, old, h, told
}

// end lets a process end that was told to, if there is one.
func (b *bench) end(s *service) {
	if s.PID() != 0 {
		b.k.die(s.PID(), exited(0))
	}
	b.procs.Reap()
	b.settle()
}

// isMain says whether the main process of s is known as that.
func (b *bench) isMain(s *service) bool {
	u, role := b.procs.Speaker(s.PID())
	return u == &s.Unit && role == children.Main
}

// check2 is check for a bench where another process of s is alive, if other is not nil.
func (b *bench) check2(s, other *service) {
	b.Helper()
	if other != nil && other.PID() != 0 && !b.isMain(other) {
		b.Errorf("process %d of the old one is not found", other.PID())
	}
	b.checkWith(other)
}

// Who is told that a service is down finds no second process of it, in whatever state it was.
func TestReplacementOfTheUnwanted(t *testing.T) {
	for _, state := range []control.State{
		Stopped, Waiting, Starting, Ready, Stopping, Backoff, Failed,
	} {
		t.Run(string(state), func(t *testing.T) {
			b, old, h, told := withReplacement(t, state)
			b.k.deaf = true
			w := old.waiters.Add(waiters.Want{Order: waiters.Stop})
			b.unwant([]*service{old}, "stopped", waiters.Stop)
			if old.PID() != 0 {
				b.k.die(old.PID(), exited(0))
			}
			b.procs.Reap()
			b.settle()
			if old.State() == Stopped || len(w.Answer()) > 0 {
				t.Error("it is down, and its second process lives")
			}
			b.heard(h.PID(), notify.Message{Ready: true}) // too late
			if b.services.Named("s") != old || h.State() != Stopping {
				t.Errorf("the replacement of what is not wanted is %v", h.State())
			}
			b.end(h)
			if old.State() != Stopped || len(w.Answer()) != 1 || len(*told) != 1 ||
				(*told)[0] == nil {
				t.Errorf("%v, %d answers, told %v", old.State(), len(w.Answer()), *told)
			}
			b.check2(old, nil)
		})
	}
}

// A description that changes while the new process comes up is the one that holds after it, and who
// waits for the service is answered by whichever process is up.
func TestReplacementKeepsWhatBelongsToTheService(t *testing.T) {
	b, old, h, _ := withReplacement(t, Starting)
	w := old.waiters.Add(waiters.Want{Order: waiters.Start, Up: true})
	r := old.Record()
	r.Restarts = 7
	old.Place(r)
	old.held, old.logError = true, "full"
	other := b.put(plain("other"))
	changed := plain("s", func(s *spec.Service) { s.Requires = []string{"other"} })
	b.update(changed, Apply{Source: "file"})
	b.heard(h.PID(), notify.Message{Ready: true})
	if h.Restarts() != 7 || h.Exit() != old.Exit() || h.logError != "full" || !h.held ||
		h.source != "file" || len(h.Spec().Requires) != 1 ||
		!slices.Equal(slices.Collect(b.services.Needers(other)), []*service{h}) {
		t.Errorf("%+v", h)
	}
	if len(w.Answer()) != 1 {
		t.Fatal("who waits for the service is not answered by its new process")
	}
	if err := <-w.Answer(); err != nil {
		t.Error(err)
	}
}

// For everybody else the service was up all the time.
func TestReplacementIsUpSinceTheServiceIs(t *testing.T) {
	b, old, h, _ := withReplacement(t, Ready)
	since := time.Now().Add(-time.Hour)
	r := old.Record()
	r.Since = since
	old.Place(r)
	if b.heard(h.PID(), notify.Message{Ready: true}); h.Since() != since {
		t.Errorf("up since %v, not %v", h.Since(), since)
	}
}

// One that is slow to end may see the process that replaced it replaced, and gone.
func TestReplacedTwice(t *testing.T) {
	b, first, second, _ := withReplacement(t, Ready)
	b.k.deaf = true
	b.heard(second.PID(), notify.Message{Ready: true})
	third := b.startReplacement(second, func(error) {})
	b.settle()
	b.heard(third.PID(), notify.Message{Ready: true})
	for _, s := range []*service{second, first} {
		if s.registered() != third {
			t.Error("its service is not found")
		}
		b.end(s)
	}
	if len(third.rolling.replaced) > 0 || third.State() != Ready {
		t.Errorf("%d are waited for for ever", len(third.rolling.replaced))
	}
}

// The second process is started only for a service that is up, and one at a time.
func TestMayRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.put(plain("s", func(s *spec.Service) { s.Overlap = true }))
		end := b.run()
		b.up(s)
		pid := b.pidOf(s)
		done := make(chan error, 1)
		go func() { done <- b.RestartRolling(t.Context(), "s") }()
		synctest.Wait()
		if err := b.RestartRolling(t.Context(), "s"); err == nil ||
			err.Error() !=
				"s: cannot be restarted in a rolling way: it is being restarted in that way" {
			t.Errorf("%v", err)
		}
		var h *service
		b.inOwner(func() { h = s.rolling.replacement })
		b.say(h, notify.Message{Ready: true})
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.inOwner(func() {
			if b.services.Named("s").PID() == pid || len(b.k.live) != 1 {
				t.Errorf("process %d, %d live", b.services.Named("s").PID(), len(b.k.live))
			}
		})
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
