package supervise

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Who asks for a service asks for what it needs: also for what has given up or waits for its next
// start, and not again for a oneshot that has done its work.
func TestStartStartsWhatIsNeeded(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*spec.Service)
		before func(b *bench, a *service)
		want   control.State // of what is needed
	}{
		"failed": {func(s *spec.Service) { s.Restart = spec.RestartNo },
			func(b *bench, a *service) { b.crash(a) }, Starting},
		"backoff": {unbounded, func(b *bench, a *service) { b.crash(a); b.crash(a) }, Starting},
		"done": {func(s *spec.Service) { s.Type = spec.Oneshot }, func(b *bench, a *service) {
			b.k.die(b.pidOf(a), exited(0))
		}, Stopped},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				a, s := b.put(plain("a", tt.change)), b.put(plain("s", requires("a")))
				b.inOwner(func() { b.want([]*service{a}, waiters.Start) })
				tt.before(b, a)
				b.inOwner(func() {
					if a.State() == Starting {
						t.Error("it is not down yet")
					}
				})
				go func() { _ = b.Start(context.Background(), "s") }()
				b.in(a, tt.want)
				if tt.want == Stopped {
					b.in(s, Starting)
				}
			})
		})
	}
}

// What has come to a good end by itself is not wanted any more, and that is on disk: the next
// supervisor does not start it.
func TestEndedWellIsNotWanted(t *testing.T) {
	for _, kind := range []spec.Type{spec.Oneshot, spec.Daemon} {
		bubble(t, func(b *bench) {
			var wanted []string
			b.keeper.Replace = func(f persist.StateFile) error {
				if wants, ok := f.Content.(kept.Wants); ok {
					wanted = wants.Wanted
				}
				return nil
			}
			s := b.put(plain("s",
				func(s *spec.Service) { s.Type, s.Ready = kind, spec.Probe{Kind: spec.ProbeExec} }))
			go func() { _ = b.Start(context.Background(), "s") }()
			synctest.Wait()
			if !slices.Contains(wanted, "s") {
				t.Errorf("%v: not wanted after a start", kind)
			}
			b.k.die(b.pidOf(s), exited(0))
			b.in(s, Stopped)
			b.inOwner(func() {
				if s.Wanted || len(wanted) > 0 {
					t.Errorf("%v: wanted %v, on disk %v", kind, s.Wanted, wanted)
				}
			})
		})
	}
}

// What is removed and described again before it has gone stays, whether it is to be started or not.
func TestDescribedAgainWhileRemoved(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		b.k.set(func() { b.k.deaf = true })
		removed := make(chan error, 1)
		go func() { removed <- b.Remove(context.Background(), "s") }()
		synctest.Wait()
		if _, err := b.Apply(context.Background(),
			Apply{Services: []spec.Service{plain("s")}, NoStart: true}); err != nil {
			t.Error(err)
		}
		if err := <-removed; err != nil {
			t.Error(err)
		}
		b.in(s, Stopped)
		if b.named("s") != s {
			t.Error("it is gone")
		}
	})
}

// A plan says of what was stopped by hand that nothing becomes of it, and a description from a
// command line leaves a service in its file.
func TestPlanOfTheHeld(t *testing.T) {
	bubble(t, func(b *bench) {
		apply := func(a Apply) []control.Planned {
			a.Services = []spec.Service{
				plain("s", func(s *spec.Service) { s.Ready = spec.Probe{Kind: spec.ProbeExec} }),
			}
			plan, err := b.Apply(context.Background(), a)
			if err != nil {
				t.Error(err)
			}
			return plan
		}
		apply(Apply{Source: "file"})
		if err := <-b.stops("s"); err != nil {
			t.Error(err)
		}
		if plan := apply(Apply{PlanOnly: true}); len(plan) != 1 ||
			plan[0].Action != control.ActionNone || !plan[0].Held {
			t.Errorf("%+v", plan)
		}
		apply(Apply{})
		b.inOwner(func() {
			if s := b.services.Named("s"); s.source != "file" || s.State() != Stopped {
				t.Errorf("from %q, %v", s.source, s.State())
			}
		})
	})
}

// What may run and cannot be proven to is left as it is by the end of the supervisor too.
func TestUnprovenIsLeftAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.run()
		s := b.put(plain("s"))
		b.inOwner(func() {
			s.Wanted = true
			s.LeaveAlone("not taken over")
		})
		if err := end(); err != nil {
			t.Error(err)
		}
		if s.State() != Failed || s.Reason() != "not taken over" {
			t.Errorf("%v: %s", s.State(), s.Reason())
		}
	})
}
