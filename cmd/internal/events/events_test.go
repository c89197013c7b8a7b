package events

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/control"
)

var errOver = errors.New("over")

// scene is a log with an owner.
func scene(t *testing.T, keep int, last uint64) (l *Log, owner *loop.Loop, end func()) {
	owner = loop.New(errOver)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-owner.Wake():
				owner.Run()
			case <-stop:
				owner.Run()
				owner.End()
				return
			}
		}
	}()
	return New(owner, keep, last), owner, func() { close(stop); synctest.Wait() }
}

// Who subscribes has what is kept after an ID, and all that comes from then on, in order.
func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, owner, end := scene(t, 3, 10)
		add := func(reason string) {
			_ = owner.Ask(t.Context(), func() { l.Add(control.Event{Reason: reason}) })
		}
		for _, reason := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			add(reason)
		}
		past, s, err := l.Subscribe(t.Context(), 0)
		if err != nil || len(past) < 3 || len(past) > 6 || past[len(past)-1].ID != 17 ||
			past[len(past)-1].Reason != "g" {
			t.Fatal(past, err)
		}
		for i := range past[1:] {
			if past[i+1].ID != past[i].ID+1 {
				t.Error("a hole:", past)
			}
		}
		if past, other, _ := l.Subscribe(t.Context(), 16); len(past) != 1 {
			t.Error("after 16:", past)
		} else {
			other.Close()
		}
		if past, other, _ := l.Subscribe(t.Context(), math.MaxUint64); len(past) != 0 {
			t.Error("none of those:", past)
		} else {
			other.Close()
		}
		add("h")
		if ev, err := s.Next(t.Context()); ev.ID != 18 || ev.Reason != "h" ||
			ev.Time.IsZero() || err != nil {
			t.Error(ev, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("enough"))
		if _, err := s.Next(ctx); err == nil || err.Error() != "enough" {
			t.Error(err)
		}
		add("the last")
		end()
		if ev, err := s.Next(t.Context()); ev.Reason != "the last" || err != nil {
			t.Error("what came with the end:", ev, err)
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, errOver) {
			t.Error("after the end:", err)
		}
	})
}

// Whoever is too slow is cut off, has what it was sent before, and holds up nobody.
func TestSlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, owner, end := scene(t, 1, 0)
		defer end()
		_, slow, err := l.Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = owner.Ask(t.Context(), func() {
			for range buffered + 2 {
				l.Add(control.Event{})
			}
			if len(l.subs) != 0 || len(l.ring) > 2 {
				t.Errorf("%d listen, %d are kept", len(l.subs), len(l.ring))
			}
		})
		n := 0
		for ; err == nil && n <= buffered; n++ {
			_, err = slow.Next(t.Context())
		}
		if !errors.Is(err, ErrLagged) || n != buffered+1 {
			t.Errorf("after %d: %v", n, err)
		}
	})
}
