package waiters

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

var (
	start       = Want{Order: Start, Up: true}
	stop        = Want{Order: Stop}
	up          = Want{Order: Apply, Up: true}
	removedByUp = Want{Order: Apply}
	waitUp      = Want{Order: Wait, Up: true}
	waitDown    = Want{Order: Wait}
	reload      = Want{Order: Reload, Up: true}
)

// What a service is waited for decides with where it stands what is told.
func TestWake(t *testing.T) {
	soon, late := time.Now().Add(time.Second), time.Now().Add(time.Hour)
	broke := &fake{name: "a", state: control.Failed, reason: "broke", exit: &control.Exit{Code: 1}}
	retried := &fake{name: "a", state: control.Backoff, reason: "broke", next: soon}
	stopped := &fake{name: "a", state: control.Stopped, reason: "stopped"}
	behind := func(o Obstacle) fake {
		return fake{state: control.Waiting, reason: "waits for a", obstacle: o,
			exit: &control.Exit{Code: 9}} // of another time
	}
	for _, tt := range []struct {
		name string
		s    fake
		want map[Want]string
	}{
		{"on its way", fake{state: control.Starting},
			map[Want]string{start: "", up: "", stop: "", waitUp: "", waitDown: ""}},
		{"up", fake{state: control.Ready},
			map[Want]string{start: "done", up: "done", stop: "", waitUp: "done", waitDown: ""}},
		{"listening", fake{state: control.Listening}, map[Want]string{start: "done", stop: ""}},
		{"reloading", fake{state: control.Ready, reloading: true},
			map[Want]string{start: "", waitUp: "", stop: ""}},
		{"ending", fake{state: control.Stopping}, map[Want]string{stop: "", waitDown: ""}},
		{"not to be ended", fake{state: control.Stopping, refused: "is another user's"},
			map[Want]string{stop: "s: is another user's", removedByUp: "s: is another user's",
				start: "s: is another user's", waitDown: "", waitUp: ""}},
		{"failed", fake{state: control.Failed, reason: "broke"},
			map[Want]string{start: "s: broke", up: "s: broke", waitUp: "s: broke", stop: "done"}},
		{"failed, to be tried again", fake{state: control.Failed, reason: "broke", next: late},
			map[Want]string{start: "s: broke; it is tried again", waitDown: "done"}},
		{"tried again soon", fake{state: control.Backoff, reason: "broke", next: soon},
			map[Want]string{start: "s: broke; it is tried again", up: "", waitUp: "", stop: ""}},
		{"tried again late", fake{state: control.Backoff, reason: "broke", next: late},
			map[Want]string{up: "s: broke; it is tried again", waitUp: ""}},
		{"not started", fake{state: control.Stopped},
			map[Want]string{waitUp: "", stop: "done", waitDown: "done", removedByUp: "done"}},
		{"stopped by hand", fake{state: control.Stopped, reason: "stopped", held: true},
			map[Want]string{waitUp: "s: stopped", start: "s: stopped"}},
		{"ended well", fake{state: control.Stopped, exit: &control.Exit{}},
			map[Want]string{start: "done", up: "done", waitUp: "done"}},
		{"ended well, and left processes", fake{state: control.Stopped, reason: "left one behind",
			exit: &control.Exit{}, forked: true},
			map[Want]string{start: "s: left one behind", waitUp: "s: left one behind"}},
		{"ended badly", fake{state: control.Stopped, reason: "exited with status 1",
			exit: &control.Exit{Code: 1}},
			map[Want]string{start: "s: exited with status 1"}},
		{"killed", fake{state: control.Stopped, reason: "killed by SIGKILL",
			exit: &control.Exit{Signal: "KILL"}},
			map[Want]string{start: "s: killed by SIGKILL"}},
		{"did its work", fake{state: control.Stopped, kind: spec.Oneshot, completed: true,
			exit: &control.Exit{}}, map[Want]string{start: "done", waitUp: "done"}},
		{"oneshot without its work", fake{state: control.Stopped, kind: spec.Oneshot,
			reason: "stopped", exit: &control.Exit{}}, map[Want]string{start: "s: stopped"}},
		{"waits", behind(Obstacle{}), map[Want]string{start: "", up: "", waitUp: "", stop: ""}},
		{"waits for the failed", behind(Obstacle{"a has failed", broke, true}),
			map[Want]string{start: "s: waits for a; a: broke", up: "s: waits for a; a: broke",
				waitUp: "s: waits for a; a: broke", stop: ""}},
		{"waits for nobody", behind(Obstacle{"there is no a", nil, true}),
			map[Want]string{start: "s: waits for a", waitUp: "s: waits for a"}},
		{"waits for what is tried again", behind(Obstacle{"a has failed", retried, false}),
			map[Want]string{start: "s: waits for a; a: broke; it is tried again", up: "",
				waitUp: ""}},
		{"waits for the stopped", behind(Obstacle{"a was stopped by hand", stopped, true}),
			map[Want]string{start: "s: waits for a", waitUp: "s: waits for a"}},
		{"reload by signal under way", fake{state: control.Ready, pid: 7},
			map[Want]string{reload: ""}},
		{"died of a reload", fake{state: control.Backoff,
			exit: &control.Exit{Text: "killed by SIGHUP"}},
			map[Want]string{reload: "s: reload: it did not outlive it: killed by SIGHUP"}},
		{"ended during a reload", fake{state: control.Stopping, pid: 7,
			exit: &control.Exit{Text: "of another time"}},
			map[Want]string{reload: "s: reload: it did not outlive it: stopping"}},
	} {
		tt.s.timeout = time.Hour
		l := New(&tt.s)
		for want, answer := range tt.want {
			w := l.Add(want)
			l.Wake()
			if got := said(w); got != answer {
				t.Errorf("%s: %+v: told %q, want %q", tt.name, want, got, answer)
			}
		}
	}
}

// The status of what failed behind others is of no use, that of the failure itself is.
func TestNotUpBehindOthers(t *testing.T) {
	broke := &fake{name: "a", state: control.Failed, exit: &control.Exit{Code: 7}}
	e := notUp(&fake{state: control.Waiting, obstacle: Obstacle{"a has failed", broke, true},
		exit: &control.Exit{Code: 9}, cause: errors.New("of another time")})
	if e.Status != 125 || e.Exit != nil || e.Err != nil || e.Retry || e.Cause == nil ||
		e.Cause.Status != 7 || e.Cause.Exit != broke.exit {
		t.Errorf("%+v", e)
	}
}

// A later order has those answered who want the opposite.
func TestOvertake(t *testing.T) {
	ups, downs := []Order{Start, Restart, Apply}, []Order{Stop, Remove, Drop, End}
	over := map[Want]map[Order]bool{
		start: all(downs), up: all(downs), waitUp: all(downs),
		stop: all(ups), removedByUp: all(ups), waitDown: {},
		reload: all(append([]Order{Restart, Rolling}, downs...)),
	}
	for want, by := range over {
		for _, later := range []Order{
			Start, Stop, Restart, Rolling, Remove, Apply, Drop, End,
		} {
			l := New(&fake{state: control.Starting})
			w := l.Add(want)
			l.Overtake(later)
			answer := ""
			if by[later] {
				answer = "s: " + string(want.Order) + ": overtaken by a later " + string(later)
				if later == End {
					answer = ErrClosed.Error()
				}
			}
			if got := said(w); got != answer || len(l.Orders()) == 1 != (answer == "") {
				t.Errorf("%+v, then %s: told %q, want %q", want, later, got, answer)
			}
		}
	}
}

func all(orders []Order) map[Order]bool {
	set := map[Order]bool{}
	for _, o := range orders {
		set[o] = true
	}
	return set
}

// A reload is over when its command has ended and the process has told; one that failed is told to
// who asked for that one, one that the process did not bring to its end to all.
func TestReloaded(t *testing.T) {
	s := &fake{state: control.Ready}
	l := New(s)
	one, two, signal := l.AddReloadCommand(), l.AddReloadCommand(), l.AddReload()
	other := l.Add(waitDown)
	tell := func(what, first, second, third string) {
		t.Helper()
		got := [3]string{said(one), said(two), said(signal)}
		if got != [3]string{first, second, third} {
			t.Errorf("%s: %q", what, got)
		}
	}
	one.CommandEnded(errors.New("it failed"))
	tell("the first command has failed", "it failed", "", "")
	s.reloading = true
	l.Reloaded(nil)
	tell("RELOADING=1", "", "", "")
	s.reloading = false
	l.Reloaded(nil)
	tell("reloaded, and a command runs", "", "", "done")
	two.CommandEnded(nil)
	l.Wake()
	tell("the second command has ended", "", "", "")
	l.Reloaded(nil)
	tell("and the process has told", "", "done", "")
	two, signal = l.AddReloadCommand(), l.AddReload()
	l.Reloaded(errors.New("too late"))
	tell("too late", "", "too late", "too late")
	if said(other) != "" || len(l.Orders()) != 1 {
		t.Errorf("%v", l.Orders())
	}
}

// A service that crashes on its way up is waited for within its time-out, and not longer than is
// reasonable.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for timeout, limit := range map[time.Duration]time.Duration{
			time.Second: time.Second, time.Hour: patience,
		} {
			s := &fake{state: control.Backoff, timeout: timeout}
			l := New(s)
			w := l.Add(up)
			s.next = time.Now().Add(limit - 1)
			if l.Wake(); said(w) != "" {
				t.Errorf("time-out %v: not waited for", timeout)
			}
			s.next = time.Now().Add(limit)
			if l.Wake(); said(w) == "" {
				t.Errorf("time-out %v: waited for", timeout)
			}
		}
	})
}

// owned runs a test beside the owner of a loop.
func owned(t *testing.T, f func(l *loop.Loop)) {
	synctest.Test(t, func(t *testing.T) {
		l, done := loop.New(ErrClosed), make(chan struct{})
		go func() {
			for {
				select {
				case <-l.Wake():
					l.Run()
				case <-done:
					return
				}
			}
		}()
		f(l)
		close(done)
	})
}

// await begins to wait for several services.
func await(ctx context.Context, l *loop.Loop, want Want, services ...*fake) (
	lists []*List, answer chan error,
) {
	var list []*Waiter
	for _, s := range services {
		lists = append(lists, New(s))
		list = append(list, lists[len(lists)-1].Add(want))
	}
	answer = make(chan error, 1)
	go func() { answer <- Await(ctx, l, list) }()
	synctest.Wait()
	return lists, answer
}

// become has a service stand elsewhere.
func become(l *loop.Loop, list *List, state control.State) {
	_ = l.Ask(context.Background(), func() {
		list.service.(*fake).state = state
		list.Wake()
	})
	synctest.Wait()
}

// Who goes away while several services are waited for waits for none of them any more.
func TestGiveUp(t *testing.T) {
	owned(t, func(l *loop.Loop) {
		ctx, cancel := context.WithCancelCause(context.Background())
		lists, answer := await(ctx, l, start, &fake{}, &fake{}, &fake{})
		other := lists[1].Add(start)
		become(l, lists[0], control.Ready)
		gone := errors.New("gone")
		cancel(gone)
		if err := <-answer; err != gone {
			t.Error(err)
		}
		synctest.Wait()
		for i, left := range []int{0, 1, 0} {
			if got := len(lists[i].Orders()); got != left {
				t.Errorf("%d wait for service %d, want %d", got, i, left)
			}
		}
		become(l, lists[1], control.Ready)
		if said(other) != "done" {
			t.Error("another one who waits has gone too")
		}
	})
}

// When the owner has ended, those who wait are told that.
func TestAwaitAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(ErrClosed)
		lists, answer := await(context.Background(), l, stop, &fake{}, &fake{})
		lists[0].service.(*fake).state = control.Stopped
		lists[0].Wake()
		l.End()
		if err := <-answer; err != ErrClosed {
			t.Error(err)
		}
	})
}

// What has become of a service while others were waited for is what is told.
func TestByNow(t *testing.T) {
	const again = "a: broke; it is tried again"
	for _, tt := range []struct {
		name       string
		want       Want
		first, now control.State
		answer     string
	}{
		{"up", start, control.Ready, control.Ready, ""},
		{"failed", start, control.Failed, control.Failed, "a: broke"},
		{"failed for good, and started by somebody", start, control.Failed, control.Ready,
			"a: broke"},
		{"came up on a second try", start, control.Backoff, control.Ready, ""},
		{"what it needs came up on a second try", start, control.Waiting, control.Ready, ""},
		{"did not", start, control.Backoff, control.Starting, again},
		{"up, and failed since", start, control.Ready, control.Failed, "a: broke"},
		{"up, and crashed since", start, control.Ready, control.Backoff, again},
		{"up, and crashed since, only watched", waitUp, control.Ready, control.Backoff, ""},
		{"down, and failed since", stop, control.Stopped, control.Failed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owned(t, func(l *loop.Loop) {
				needed := &fake{name: "needed", state: control.Failed}
				a := &fake{name: "a", reason: "broke",
					obstacle: Obstacle{"needed has failed", needed, true}}
				lists, answer := await(context.Background(), l, tt.want, a, &fake{name: "b"})
				become(l, lists[0], tt.first)
				become(l, lists[0], tt.now)
				if len(answer) > 0 {
					t.Error("b is not waited for")
				}
				last := control.Ready
				if !tt.want.Up {
					last = control.Stopped
				}
				become(l, lists[1], last)
				got := ""
				if err := <-answer; err != nil {
					got = err.Error()
				}
				if got != tt.answer {
					t.Errorf("told %q, want %q", got, tt.answer)
				}
			})
		})
	}
}

// A reload that was done was done, whatever has become of the service since.
func TestByNowOfAReload(t *testing.T) {
	w := New(&fake{state: control.Failed}).AddReload()
	if err := w.byNow(nil); err != nil {
		t.Error(err)
	}
}

// The process of a service may be another one before all have their answers.
func TestMove(t *testing.T) {
	owned(t, func(l *loop.Loop) {
		lists, answer := await(context.Background(), l, start,
			&fake{name: "a", reason: "broke"}, &fake{name: "b", reason: "old"})
		become(l, lists[0], control.Backoff)
		_ = l.Ask(context.Background(), func() {
			lists[0].Move(&fake{name: "a", state: control.Ready})
			lists[1].Move(&fake{name: "b", state: control.Failed, reason: "new"})
		})
		become(l, lists[1], control.Failed)
		if err := <-answer; err == nil || err.Error() != "b: new" {
			t.Error(err)
		}
	})
}
