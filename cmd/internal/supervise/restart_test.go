package supervise

import (
	"context"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// in asserts the state of a service, for whatever reason.
func (b *bench) in(s *service, state control.State) {
	b.Helper()
	b.inOwner(func() {
		if s.State() != state {
			b.Errorf("%s is %v because of %q, want %v", s.Spec().Name, s.State(), s.Reason(), state)
		}
	})
}

// unbounded is a policy of delays without an end.
func unbounded(s *spec.Service) {
	s.Backoff.First = new(spec.Duration(time.Second))
	s.Budget = spec.Budget{Restarts: new(-1), Window: new(spec.Duration(time.Minute))}
}

// A run as long as the window of the budget makes good for the crashes before it, and none that is
// shorter.
func TestHealthyRunIsForgiven(t *testing.T) {
	for ran, want := range map[time.Duration]control.State{
		time.Minute - 1: Backoff, time.Minute: Starting,
	} {
		bubble(t, func(b *bench) {
			s := b.put(plain("s", unbounded))
			b.up(s)
			b.crash(s)
			b.say(s, readyMessage)
			time.Sleep(ran)
			b.crash(s)
			b.in(s, want)
			b.inOwner(func() {
				if !s.Since().Equal(time.Now()) {
					t.Errorf("%v since %v, and it is %v", s.State(), s.Since(), time.Now())
				}
			})
		})
	}
}

// The budget is of the last window: a restart that is older does not count, nor one that is to
// come, because the clock has been set back.
func TestBudgetIsOfItsWindow(t *testing.T) {
	for second, want := range map[time.Duration]control.State{
		20*time.Second - 1: Failed, 20 * time.Second: Backoff,
	} {
		bubble(t, func(b *bench) {
			s := b.put(plain("s", unbounded, func(s *spec.Service) { s.Budget.Restarts = new(2) }))
			b.up(s)
			b.crash(s)
			b.say(s, readyMessage)
			time.Sleep(40 * time.Second)
			b.crash(s)
			time.Sleep(second)
			b.crash(s)
			b.in(s, want)
		})
	}
	bubble(t, func(b *bench) {
		s := b.put(plain("s", unbounded, func(s *spec.Service) { s.Budget.Restarts = new(1) }))
		b.up(s)
		b.inOwner(func() {
			r := s.Record()
			r.Window = []time.Time{time.Now().Add(time.Hour)}
			s.Place(r)
		})
		b.crash(s)
		b.in(s, Starting)
	})
}

// A start that somebody asks for is a fresh one, and so is that of one that had given up: crashes
// before it count neither for the delay nor for the budget.
func TestFreshStart(t *testing.T) {
	start := func(b *bench) { go func() { _ = b.Start(context.Background(), "s") }() }
	failing := func(s *spec.Service) {
		s.Budget.Restarts, s.Budget.Window, s.Budget.Retry = new(2), new(spec.Duration(time.Hour)),
			spec.Duration(time.Minute)
	}
	for name, tt := range map[string]struct {
		change  func(*spec.Service)
		crashes int
		then    control.State
		again   func(b *bench)
	}{
		"restarted": {unbounded, 1, Starting,
			func(b *bench) { go func() { _ = b.Restart(context.Background(), "s") }() }},
		"started in backoff":    {unbounded, 2, Backoff, start},
		"started after failure": {failing, 3, Failed, start},
		"tried again by itself": {failing, 3, Failed, func(*bench) { time.Sleep(time.Minute) }},
		"stopped, and restarted": {unbounded, 1, Starting,
			func(b *bench) { _ = b.Stop(context.Background(), "s"); start(b) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				s := b.put(plain("s", tt.change))
				b.up(s)
				for range tt.crashes {
					for b.pidOf(s) == 0 {
						time.Sleep(time.Second)
					}
					b.crash(s)
				}
				b.in(s, tt.then)
				tt.again(b)
				b.in(s, Starting)
				b.crash(s)
				b.in(s, Starting)
			})
		})
	}
}
