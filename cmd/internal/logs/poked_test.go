package logs

import (
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/target"
)

// pokedDest is a destination whose program ends while it is sent something, which it has not read.
type pokedDest struct {
	poke  func()
	turns chan int // how many records there were
}

func (d *pokedDest) Send(records []target.Record) (int, error) {
	if len(records) > 0 {
		d.poke()
	}
	d.turns <- len(records)
	return len(records), nil
}

func (d *pokedDest) Close() error { return nil }

// A program that ends while lines are on their way to it has another one started for them, though
// no more lines come.
func TestPokedMeanwhile(t *testing.T) {
	r := newRig(t)
	to, err := r.newSender("a", Target{Kind: Journal})
	if err != nil {
		t.Fatal(err)
	}
	d := &pokedDest{to.poke, make(chan int, 8)}
	to.dest = d
	o := &outlet{id: "a", to: to, max: 1 << 20}
	o.put(1, line.Out, []byte("x"), false, false)
	for _, want := range []int{1, 0} {
		select {
		case n := <-d.turns:
			if n != want {
				t.Errorf("a turn for %d records, not %d", n, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no turn for %d records", want)
		}
	}
}
