package persist

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// owner marks what changes, and has a disk that is as slow and as broken as a test likes. What is
// true of a key is a number that grows.
type owner struct {
	testing.TB
	*Writer[string]
	mail     chan func()
	truth    map[string]int // what the owner has marked
	mu       sync.Mutex
	content  map[string]int // of the disk
	broken   error
	slow     time.Duration
	underWay int
	began    []time.Time // of writes
	keys     []string    // of each, sorted
	told     []string
}

func newOwner(t testing.TB, change ...func(*Config[string])) *owner {
	o := &owner{
		TB: t, mail: make(chan func(), 10000), truth: map[string]int{}, content: map[string]int{},
	}
	config := Config[string]{
		Post: func(f func()) { o.mail <- f }, Begin: o.begin, Ballast: &Ballast{},
		Trouble:   func(err error) { o.told = append(o.told, err.Error()) },
		Recovered: func(text string) { o.told = append(o.told, text) },
		Failing:   "it is not on disk", Again: "it is again",
	}
	for _, f := range change {
		f(&config)
	}
	o.Writer = NewWriter(config)
	return o
}

// run has o be an owner until the test ends.
func (o *owner) run() *owner {
	go func() {
		for f := range o.mail {
			if f == nil {
				return
			}
			f()
		}
	}()
	o.Cleanup(func() {
		o.do(func() { o.broken = nil; o.Write() })
		time.Sleep(time.Hour)
		o.mail <- nil
	})
	return o
}

// do runs f as the owner, between times when there is nothing to do but to wait.
func (o *owner) do(f func()) {
	synctest.Wait()
	done := make(chan struct{})
	o.mail <- func() { f(); close(done) }
	<-done
	synctest.Wait()
}

func (o *owner) disk() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.content)
}

// changed is a change of keys.
func (o *owner) changed(keys ...string) []string {
	for _, key := range keys {
		o.truth[key]++
	}
	return keys
}

func (o *owner) begin(marked map[string]struct{}) (func() error, func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.underWay++; o.underWay > 1 {
		o.Error("two writes are under way")
	}
	o.began = append(o.began, time.Now())
	o.keys = append(o.keys, strings.Join(slices.Sorted(maps.Keys(marked)), " "))
	taken, slow, broken := map[string]int{}, o.slow, o.broken
	for key := range marked {
		taken[key] = o.truth[key]
	}
	return func() error {
			time.Sleep(slow)
			o.mu.Lock()
			defer o.mu.Unlock()
			if broken == nil {
				maps.Copy(o.content, taken)
			}
			o.underWay--
			return broken
		}, func() {
			for key, n := range taken {
				if o.disk()[key] != n {
					o.Errorf("%s is said to be written and is not", key)
				}
			}
		}
}

// wrote checks what has been written, the keys of a write each, and forgets it.
func (o *owner) wrote(want ...string) {
	o.Helper()
	o.do(func() {
		if !slices.Equal(o.keys, want) {
			o.Errorf("wrote %q, want %q", o.keys, want)
		}
		o.began, o.keys = nil, nil
	})
}

func (o *owner) said(want ...string) {
	o.Helper()
	o.do(func() {
		if !slices.Equal(o.told, want) {
			o.Errorf("told %q, want %q", o.told, want)
		}
		o.told = nil
	})
}

func TestWriterWritesTogetherWhatChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		o.slow = time.Second
		var answers []string
		await := func(name string) {
			o.Await(func(err error) { answers = append(answers, fmt.Sprint(name, err, o.disk())) })
		}
		o.do(func() {
			o.Write(o.changed("a")...)
			await("1 ") // nothing is marked for it any more, but the write under way is not its own
			o.Write(o.changed("b", "a")...)
			o.Write(o.changed("c")...)
			await("2 ")
			if !o.Busy() || !o.Pending() {
				t.Error("nothing to do")
			}
		})
		o.wrote("a")
		time.Sleep(time.Second)
		o.do(func() { o.Mark(o.changed("d")...) })
		o.wrote("a b c")
		o.do(func() {
			if len(answers) > 0 {
				t.Errorf("told too early: %q", answers)
			}
		})
		time.Sleep(time.Second)
		o.do(func() {})
		o.do(func() {
			want := []string{"1 <nil> map[a:2 b:1 c:1]", "2 <nil> map[a:2 b:1 c:1]"}
			if !slices.Equal(answers, want) {
				t.Errorf("told %q", answers)
			}
		})
		o.wrote("d")
		time.Sleep(time.Hour)
		o.do(func() {
			if o.Busy() || o.Pending() {
				t.Error("something is left to do")
			}
		})
		o.wrote()
	})
}

// A mark alone begins nothing.
func TestWriterMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		o.do(func() { o.Write(); o.Mark(o.changed("a")...) })
		time.Sleep(time.Hour)
		o.wrote()
		o.do(func() { o.Write() })
		o.wrote("a")
	})
}

// What cannot be written is tried again after pauses that grow, and told once for each reason.
func TestWriterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		start := time.Now()
		o.broken = errors.New("full")
		o.do(func() { o.Write(o.changed("a")...) })
		time.Sleep(4 * time.Minute)
		o.do(func() {
			if o.Failing() != o.broken || !o.Pending() || o.Busy() {
				t.Errorf("%v", o.Failing())
			}
		})
		var at []int
		for _, began := range o.began {
			at = append(at, int(began.Sub(start).Seconds()))
		}
		if want := []int{0, 1, 3, 7, 15, 31, 63, 123, 183}; !slices.Equal(at, want) {
			t.Errorf("tried after %v seconds, want %v", at, want)
		}
		o.said("it is not on disk: full")
		o.do(func() { o.broken = errors.New("gone") })
		time.Sleep(2 * time.Minute)
		o.said("it is not on disk: gone")
		o.wrote(slices.Repeat([]string{"a"}, 11)...)
		o.do(func() { o.broken = nil; o.Mark(o.changed("b")...) })
		time.Sleep(time.Minute)
		o.do(func() {
			if o.Failing() != nil || o.Pending() {
				t.Errorf("%v", o.Failing())
			}
		})
		o.wrote("a b")
		o.said("it is again")
		// Told again, and tried again as soon as the first time.
		o.do(func() { o.broken = errors.New("gone"); o.Write(o.changed("a")...) })
		time.Sleep(2 * time.Second)
		o.wrote("a", "a")
		o.said("it is not on disk: gone")
	})
}

// While it cannot be written, it is tried at once for each further change and for who waits.
func TestWriterTriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		o.broken, o.slow = errors.New("full"), time.Second
		answers := 0
		await := func() {
			o.Await(func(err error) {
				if answers++; err != o.broken {
					t.Errorf("told %v", err)
				}
			})
		}
		o.do(func() {
			o.Write(o.changed("a")...)
			await() // while a write is under way, which is not for it
		})
		time.Sleep(time.Second)
		o.wrote("a", "a")
		time.Sleep(1500 * time.Millisecond)
		o.do(func() {
			if answers != 1 {
				t.Errorf("told %d times", answers)
			}
			o.Write(o.changed("b")...)
		})
		o.wrote("a b")
		o.do(func() { o.Write(o.changed("c")...) }) // while one is under way, and nobody waits
		time.Sleep(time.Second)
		o.wrote()
		time.Sleep(2 * time.Second)
		o.wrote("a b c")
	})
}

// What who is told marks is written together, after all are told.
func TestWriterIsMarkedByWhoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		o.do(func() {
			o.Write(o.changed("a")...)
			for _, key := range []string{"b", "c"} {
				o.Await(func(error) { o.Write(o.changed(key)...) })
			}
		})
		o.wrote("a", "", "b c")
	})
}

// A write waits for another writer, with what was true when it was its turn.
func TestWriterIsBehindAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *owner
		o := newOwner(t, func(c *Config[string]) {
			c.Behind = func(f func(error)) { first.Await(f) }
		}).run()
		first = newOwner(t)
		first.mail = o.mail
		first.slow = time.Minute
		o.do(func() {
			first.Write(first.changed("x")...)
			o.Write(o.changed("a")...)
			o.changed("a")
		})
		time.Sleep(time.Minute)
		o.do(func() {
			if !o.Busy() || len(o.disk()) > 0 {
				t.Errorf("it did not wait: %v", o.disk())
			}
		})
		time.Sleep(time.Minute)
		o.do(func() {
			if o.Busy() || o.disk()["a"] != 1 {
				t.Errorf("%v", o.disk())
			}
		})
		first.broken = errors.New("full")
		o.do(func() { first.Write(first.changed("x")...); o.Write("a") })
		time.Sleep(2 * time.Minute)
		o.do(func() {
			if o.disk()["a"] != 2 {
				t.Error("not written, because the other one cannot be")
			}
		})
	})
}

// What can wait is written a second after the first of it, or when it is asked for.
func TestWriterWritesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t).run()
		for _, key := range []string{"a", "b", "a"} {
			o.do(func() { o.WriteSoon(o.changed(key)[0]) })
			time.Sleep(300 * time.Millisecond)
		}
		o.wrote()
		time.Sleep(100 * time.Millisecond)
		o.wrote("a b")
		o.do(func() {
			o.WriteSoon(o.changed("c")[0])
			if !o.Pending() {
				t.Error("nothing to do")
			}
			o.WriteLater()
		})
		o.wrote("c")
		time.Sleep(time.Hour)
		o.wrote()
	})
}

// That only what was set aside is left is told once, after what was written with it.
func TestWriterTellsOfTheBallast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := []string{"no space is left in /d but what was set aside: make room"}
		b := &Ballast{path: "/d/ballast"}
		o := newOwner(t, func(c *Config[string]) { c.Ballast = b }).run()
		for _, step := range []struct {
			given bool
			want  []string
		}{{false, nil}, {true, full}, {true, nil}, {false, nil}, {true, full}} {
			o.do(func() { b.given = step.given; o.Write("a") })
			o.said(step.want...)
		}
	})
}
