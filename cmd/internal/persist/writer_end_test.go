package persist

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// In the end nothing is written by itself, and what is left is written at once.
func TestWriterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		o.do(func() {
			if err := o.Flush(); err != nil {
				t.Error(err)
			}
		})
		o.wrote()
		o.broken = errors.New("full")
		o.do(func() { o.Write(o.changed("a")...); o.WriteSoon(o.changed("b")[0]) })
		o.wrote("a")
		o.do(func() {
			if err := o.Flush(); err != o.broken {
				t.Error(err)
			}
		})
		o.wrote("a b")
		time.Sleep(time.Hour)
		o.wrote()
		o.do(func() {
			o.broken = nil
			if err := o.Flush(); err != nil || o.disk()["a"] != 1 || o.disk()["b"] != 1 {
				t.Errorf("%v, %v", o.disk(), err)
			}
		})
	})
}

// TestWriterKeepsAll has an owner do whatever it can with a disk that does whatever a disk can:
// nothing that was marked is lost, whoever waits is told once and not before it is true, and in
// order.
func TestWriterKeepsAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Uint16(), 1, 60).Draw(rt, "steps")
		ok := t.Run("run", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newOwner(t).run().live(steps) })
		})
		if !ok {
			rt.Fatal("see above")
		}
	})
}

func (o *owner) live(steps []uint16) {
	asked, answered := 0, 0
	for _, n := range steps {
		key, some := string(rune('a'+n/8%4)), n/32
		o.do(func() {
			switch n % 8 {
			case 0:
				o.Mark(o.changed(key)...)
			case 1, 2:
				o.Write(o.changed(key)...)
			case 3:
				o.WriteSoon(o.changed(key)[0])
			case 4, 5:
				o.Mark(o.changed(key)...)
				want, me := maps.Clone(o.truth), asked
				for late := range o.later {
					delete(want, late) // is not marked yet
				}
				asked++
				o.Await(func(err error) {
					if answered != me {
						o.Errorf("waiter %d is told after %d others", me, answered)
					}
					answered++
					for key, n := range want {
						if err == nil && o.disk()[key] < n {
							o.Errorf("told that it is on disk: %v, of %v", o.disk(), want)
						}
					}
				})
			case 6:
				o.broken = nil
				if some%2 == 0 {
					o.broken = fmt.Errorf("broken %d", some%3)
				}
			case 7:
				o.slow = time.Duration(some%3) * time.Second
			}
		})
		time.Sleep(time.Duration(some%7) * 300 * time.Millisecond)
	}
	o.do(func() { o.broken = nil; o.Write() })
	time.Sleep(5 * time.Minute)
	o.do(func() {
		if answered != asked {
			o.Errorf("%d of %d were told", answered, asked)
		}
		if !maps.Equal(o.disk(), o.truth) || o.Pending() || o.Busy() || o.Failing() != nil {
			o.Errorf("on disk is %v, true is %v", o.disk(), o.truth)
		}
	})
}
