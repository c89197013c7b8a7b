package loop

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var errOver = errors.New("over")

// own runs a loop until the function returned is called.
func own(l *Loop) (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-l.Wake():
				l.Run()
			case <-stop:
				l.End()
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// TestOrder: what is posted runs in the order in which it was, also what is posted meanwhile.
func TestOrder(t *testing.T) {
	l := New(errOver)
	var did []int
	l.Post(func() { did = append(did, 1); l.Post(func() { did = append(did, 3) }) })
	l.Post(func() { did = append(did, 2) })
	if n := l.Run(); n != 2 {
		t.Errorf("%d were run at first", n)
	}
	if n := l.Run(); n != 1 || !slices.Equal(did, []int{1, 2, 3}) {
		t.Error(n, did)
	}
}

// TestAsk: who asks has the answer, the end of the context, or the end of the loop; and what was
// not run by then never is.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.Ask(ctx, func() { t.Error("it was run after its end") }); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Error("nobody is there:", err)
		}
		end := own(l)
		ran := false
		if err := l.Ask(t.Context(), func() { ran = true }); err != nil || !ran {
			t.Error(err, ran)
		}
		end()
		if err := l.Ask(t.Context(), func() {}); !errors.Is(err, errOver) {
			t.Error("after the end:", err)
		}
	})
}

// TestAskThatIsBeingDone: what has begun when the context ends is done, and that is the answer.
func TestAskThatIsBeingDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		defer own(l)()
		ctx, cancel := context.WithCancel(t.Context())
		done := false
		if err := l.Ask(ctx, func() {
			cancel()
			time.Sleep(time.Second)
			done = true
		}); err != nil || !done {
			t.Error(err, done)
		}
	})
}

// TestAwait: an answer that comes with the end is the answer.
func TestAwait(t *testing.T) {
	l := New(errOver)
	answer := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Await(ctx, l, answer); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	answer <- 7
	l.End()
	for range 100 { // whichever the select takes first
		if v, err := Await(ctx, l, answer); v != 7 || err != nil {
			t.Fatal(v, err)
		}
		answer <- 7
	}
	<-answer
	if _, err := Await(t.Context(), l, answer); !errors.Is(err, errOver) {
		t.Error(err)
	}
}

// TestJobsHaveBounds runs jobs of both kinds, of every length, and looks after each step that no
// more of a kind are in their places than there are, that none waits while there is one, that
// births are held back as long as they are to be, and that at the end all have been done, once.
func TestJobsHaveBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kinds := rapid.SliceOfN(
			rapid.SampledFrom([]string{"job", "birth", "slow job", "slow birth", "hold",
				"go on", "pause"}),
			1, 60,
		).Draw(
			rt, "steps",
		)
		if !t.Run("steps",
			func(t *testing.T) { synctest.Test(t, func(t *testing.T) { steps(t, kinds) }) }) {
			rt.Fatal("see above")
		}
	})
}

func steps(t *testing.T, kinds []string) {
	l := New(errOver)
	l.jobs.most = 2
	end := own(l)
	defer end()
	asked, done := 0, 0
	look := func() {
		synctest.Wait()
		_ = l.Ask(t.Context(), func() {
			j := &l.jobs
			if j.births > j.most || j.others > j.most || j.births < 0 || j.others < 0 {
				t.Errorf("%d births and %d others have places, of %d", j.births, j.others, j.most)
			}
			for _, one := range j.queue {
				if one.Birth && !j.held && j.births < j.most || !one.Birth && j.others < j.most {
					t.Errorf("one waits (birth: %v) while %d births and %d others have places",
						one.Birth, j.births, j.others)
				}
			}
			if done+j.running+len(j.queue) != asked || l.Busy() != (j.running > 0) {
				t.Errorf("%d done, %d under way and %d to come are not %d",
					done, j.running, len(j.queue), asked)
			}
		})
	}
	add := func(birth bool, d time.Duration) {
		asked++
		held := false
		_ = l.Ask(t.Context(), func() {
			l.Do(Job{
				Birth: birth,
				Begin: func() { held = l.jobs.held },
				Do: func() func() {
					time.Sleep(d)
					return func() {
						if done++; birth && held {
							t.Error("a birth began that was to be held back")
						}
					}
				},
			})
		})
	}
	for _, kind := range kinds {
		switch kind {
		case "job":
			add(false, time.Millisecond)
		case "birth":
			add(true, time.Millisecond)
		case "slow job":
			add(false, time.Hour)
		case "slow birth":
			add(true, time.Hour)
		case "hold", "go on":
			_ = l.Ask(t.Context(), func() { l.HoldBirths(kind == "hold") })
		case "pause":
			time.Sleep(slowJob)
		}
		look()
	}
	_ = l.Ask(t.Context(), func() { l.HoldBirths(false) })
	time.Sleep(100 * time.Hour)
	look()
	if done != asked {
		t.Errorf("%d of %d were done", done, asked)
	}
}

// TestAlarm: it goes off once, unless it is stopped or set again, not before it is postponed to,
// and tells how late that is.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		var a Alarm
		off := 0
		ring := func() { off++ }
		at := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if l.Run(); off != want {
				t.Errorf("went off %d times, want %d", off, want)
			}
		}
		l.After(&a, time.Second, ring)
		at(999*time.Millisecond, 0)
		at(time.Millisecond, 1)
		if a.Set() {
			t.Error("still set")
		}
		l.After(&a, time.Second, func() { t.Error("one that was set again") })
		l.After(&a, 2*time.Second, ring)
		unchanged := a.Unchanged()
		l.Postpone(&a, time.Second) // sooner than it is
		if !unchanged() || time.Until(a.Due()) != 2*time.Second {
			t.Error("moved to an earlier time")
		}
		l.Postpone(&a, 3*time.Second)
		if unchanged() {
			t.Error("not moved")
		}
		at(2*time.Second, 1)
		at(time.Second, 2)
		l.After(&a, time.Second, ring)
		a.Becomes(func() { off += 10 })
		// As when the owner is busy: it is about to be run when it is stopped.
		time.Sleep(time.Second)
		synctest.Wait()
		a.Stop()
		at(0, 2)
		l.After(&a, time.Second, func() { off++; at := l.Late(); _ = at })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if l.Run(); off != 3 || l.Late() != 2*time.Second {
			t.Error(off, l.Late())
		}
		l.Postpone(&a, time.Hour) // one that is not set stays so
		if a.Set() {
			t.Error("set by Postpone")
		}
	})
}

// TestAlarmIsSetAgain: the one that was set before does not go off, even if that comes at the same
// moment; what an alarm does may set it again; and Becomes takes the place of what it was to do.
func TestAlarmIsSetAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		var a Alarm
		var did []string
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
			l.Run()
		}
		l.After(&a, time.Second, func() {
			did = append(did, "first")
			l.After(&a, time.Second, func() { did = append(did, "second") })
		})
		pass(time.Second)
		if !a.Set() {
			t.Error("not set by what it did")
		}
		a.Becomes(func() { did = append(did, "other") })
		l.Postpone(&a, time.Minute)
		pass(time.Minute)
		if !slices.Equal(did, []string{"first", "other"}) {
			t.Error(did)
		}
	})
}

// TestStoppedAlarmIsSilent: one that is stopped, or set again, does not even wake the owner.
func TestStoppedAlarmIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		var a Alarm
		l.After(&a, time.Second, func() {})
		l.After(&a, 2*time.Second, func() {})
		a.Stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := l.Run(); n != 0 {
			t.Errorf("woken %d times", n)
		}
	})
}

// TestJobsBegin: jobs of a kind begin in the order in which they came, each told of by the owner
// before it is done; one that takes long leaves its place to the next; and what is told of the end
// of one finds the next under way.
func TestJobsBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		l.jobs.most = 1
		var did []string
		job := func(name string, d time.Duration) {
			l.Do(Job{
				Begin: func() { did = append(did, "begin "+name) },
				Do: func() func() {
					time.Sleep(d)
					return func() { did = append(did, "end "+name) }
				},
			})
		}
		job("a", time.Millisecond)
		job("b", time.Hour)
		job("c", time.Millisecond)
		pass := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			l.Run()
			if !slices.Equal(did, want) {
				t.Errorf("%v, want %v", did, want)
			}
			did = nil
		}
		pass(0, "begin a")
		pass(time.Millisecond, "begin b", "end a")
		pass(slowJob, "begin c")
		pass(time.Millisecond, "end c")
		if !l.Busy() {
			t.Error("not busy, and one is under way")
		}
		pass(time.Hour, "end b")
		l.Work(func() func() {
			return func() {
				if l.Busy() {
					t.Error("busy when its last job is told of")
				}
			}
		})
		pass(0)
	})
}

// TestBirthsThatWereHeldBack begin in their order, too.
func TestBirthsThatWereHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(errOver)
		l.jobs.most = 2
		l.HoldBirths(true)
		var began []int
		for i := range 2 {
			done := func() func() { return func() {} }
			l.Do(Job{Birth: true, Begin: func() { began = append(began, i) }, Do: done})
		}
		if l.HoldBirths(false); !slices.Equal(began, []int{0, 1}) {
			t.Error(began)
		}
		synctest.Wait()
		l.Run()
	})
}

// TestAskAnd: who asks is told that it is posted before it is done, an answer that is there counts
// more than the end of the loop, and the end of a context is told with its reason.
func TestAskAnd(t *testing.T) {
	for range 50 { // whichever the select takes first
		l := New(errOver)
		ran := false
		posted := func() { l.Run(); l.End() }
		if err := l.AskAnd(t.Context(), posted, func() { ran = true }); err != nil || !ran {
			t.Fatal(err, ran)
		}
	}
	reason := errors.New("a reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	l := New(errOver)
	if err := l.Ask(ctx, func() {}); !errors.Is(err, reason) {
		t.Error(err)
	}
	if _, err := Await(ctx, l, make(chan int)); !errors.Is(err, reason) {
		t.Error(err)
	}
}
