package probe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/spec"
)

func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var pauses []time.Duration
		last := start
		ask := func(context.Context) error {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			if time.Since(start) > 3*time.Second {
				return nil
			}
			return errors.New("not yet")
		}
		if err := poll(t.Context(), stateless{ask, longestPause}, attemptLimit); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{
			0, 2 * time.Millisecond, 3 * time.Millisecond, 4500 * time.Microsecond,
		}; !slices.Equal(pauses[:4], want) {
			t.Errorf("began with %v, want %v", pauses[:4], want)
		}
		if !slices.IsSorted(pauses) || pauses[len(pauses)-1] != longestPause {
			t.Errorf("pauses %v", pauses)
		}
	})
}

func TestAnAttemptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		asked := 0
		hang := func(ctx context.Context) error {
			asked++
			<-ctx.Done()
			return ctx.Err()
		}
		err := poll(ctx, stateless{hang, longestPause}, 5*time.Second)
		var end *NotReadyError
		if !errors.As(err, &end) || end.Last.Error() != "no answer within 5s" ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if asked != 3 {
			t.Errorf("asked %d times in 12 s, want 3", asked)
		}
	})
}

// What was seen before the end cut an attempt short is what the user must read.
func TestLastReasonOutlivesTheEnd(t *testing.T) {
	died := errors.New("it died")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		asked := 0
		ask := func(ctx context.Context) error {
			if asked++; asked == 1 {
				return errors.New("http 503")
			}
			cancel(died)
			return context.Cause(ctx)
		}
		err := poll(ctx, stateless{ask, longestPause}, attemptLimit)
		var end *NotReadyError
		if !errors.As(err, &end) || end.Last.Error() != "http 503" || end.Cause != died {
			t.Errorf("got %v", err)
		}
	})
}

// A connection's own deadline may pass before the context is done.
func TestEndSeenByTheConnectionFirst(t *testing.T) {
	ask := func(context.Context) error { return os.ErrDeadlineExceeded }
	err := attempt(lateContext{t.Context()}, stateless{ask, longestPause}, attemptLimit)
	if err != errUnanswered {
		t.Error(err)
	}
}

// lateContext has a deadline that is over and does not know it yet.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestWaitAsksOnceAtLeast(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	asked := 0
	poll(ctx,
		stateless{func(context.Context) error { asked++; return errors.New("no") }, longestPause},
		time.Second)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := Check{Probe: spec.Probe{Kind: spec.ProbeSettle,
			Settle: spec.Duration(2 * time.Second)}}
		if err := Wait(t.Context(), c, Env{}); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := Wait(ctx, c, Env{})
		if !errors.Is(err, context.DeadlineExceeded) ||
			err.Error() != "settle:2s: not ready: its time to settle is not over" {
			t.Error(err)
		}
	})
}

func TestWithTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, extend, cancel := WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		extend(2 * time.Second) // sooner than the end: nothing changes
		time.Sleep(9 * time.Second)
		extend(5 * time.Second)
		<-ctx.Done()
		if d := time.Since(start); d != 14*time.Second {
			t.Errorf("ended after %v, want 14s", d)
		}
		if context.Cause(ctx) != context.DeadlineExceeded {
			t.Error(context.Cause(ctx))
		}
		extend(time.Hour)
		if ctx.Err() == nil {
			t.Error("it came back to life")
		}
	})
}

func TestWhatCannotBeAsked(t *testing.T) {
	for _, c := range []Check{
		{}, ask(spec.ProbeNotify, ""), ask(spec.ProbeFD, ""), ask("smoke", ""),
		ask(spec.ProbeCmd, ""), ask(spec.ProbeLog, "("),
	} {
		if err := Wait(t.Context(), c, Env{}); err == nil {
			t.Errorf("%s: waited for", c)
		}
		if err := Once(t.Context(), c, Env{}); err == nil {
			t.Errorf("%s: asked", c)
		}
	}
	if err := Wait(t.Context(), ask(spec.ProbeExec, ""), Env{}); err != nil {
		t.Error(err)
	}
}

// TestEveryKind: each kind that a description may name can be asked or waited for here, but for
// those that the program says by itself. A kind that needs a way of its own has it in Wait,
// newQuestion, or cmd/internal/launch.
func TestEveryKind(t *testing.T) {
	output := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(output, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range spec.ProbeForms() {
		name, _, _ := strings.Cut(form, ":")
		kind := spec.ProbeKind(name)
		if kind == spec.ProbeFD || kind == spec.ProbeNotify {
			continue // HearFD and Hear
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := Wait(ctx, ask(kind, "/dev/null"), Env{PID: os.Getpid(), Logs: []string{output}})
		var late *NotReadyError
		if err != nil && !errors.As(err, &late) {
			t.Errorf("%s cannot be asked: %v", kind, err)
		}
	}
}
