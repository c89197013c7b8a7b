package logs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/query"
)

// TestSmallWritesAreGathered prints lines of 100 bytes, each in a write of its own, at a pace at
// which a reader that is woken for every one of them keeps up. The engine reads far less often than
// that, and a follower of the file still has each line within 20 ms. A machine that is busy
// otherwise delays everybody, so the best of several tries counts, and what the writer itself was
// held up at most in a try is allowed to each of the three that a line goes through.
func TestSmallWritesAreGathered(t *testing.T) {
	const bound = 20 * time.Millisecond
	r := newRig(t)
	s, w := r.open(t, "a", Config{})
	mustDrain(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	delays := make(chan time.Duration, 1000)
	done := make(chan error, 1)
	go func() {
		done <- query.Run(ctx, []query.Log{{Path: r.path("a.log")}}, query.Query{Follow: true},
			func(rec query.Record) error {
				var sent int64
				if _, err := fmt.Sscan(string(rec.Text), &sent); err != nil {
					return err
				}
				delays <- time.Duration(time.Now().UnixNano() - sent)
				return nil
			})
	}()
	const lines = 500
	pad := strings.Repeat("x", 80)
	best := time.Hour
	for range 20 {
		before, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		from := time.Now()
		late, last := time.Duration(0), from
		for range lines {
			fmt.Fprintf(w, "%d %s\n", time.Now().UnixNano(), pad)
			time.Sleep(100 * time.Microsecond) // the pace, not a synchronisation
			now := time.Now()
			late, last = max(late, now.Sub(last)), now
		}
		for range lines {
			select {
			case d := <-delays:
				got = append(got, d)
			case err := <-done:
				t.Fatalf("the follower ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatalf("the follower has %d of %d lines", len(got), lines)
			}
		}
		after, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		// A slow machine takes longer to write, and then there is less to gather.
		most := lines/5 + int64(time.Since(from)/(4*time.Millisecond))
		if reads := after.Reads - before.Reads; reads > most {
			t.Errorf("%d reads for %d writes", reads, lines)
		}
		if best = min(best, slices.Max(got)-3*late); best <= bound {
			break
		}
	}
	if best > bound {
		t.Errorf("in the best of 20 tries a line took %v to the follower, and more", best)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
