package supervise

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// An overtaking is two orders for one service, the second of which comes while the first is waited for.
type overtaking struct {
	first, second string
	from          State  // where the service is before: Ready, Stopped, Stopping
	want          string // of the first: "" if it was done all the same
	wantSecond    string
	in            State // where the service is in the end
}

// Every pair of orders that do not want the same, and some that do.
var overtakings = []overtaking{
	{"start", "stop", Stopped, "s: start: overtaken by a later stop", "", Stopped},
	{"start", "remove", Stopped, "s: start: overtaken by a later remove", "", Stopped},
	{"start", "down", Stopped, "s: start: overtaken by a later up without it", "", Stopped},
	{"start", "end", Stopped, "the supervisor is shutting down", "", Stopped},
	{"start", "start", Stopped, "", "", Ready},
	{"start", "restart", Stopped, "", "", Ready},
	{"start", "up", Stopped, "", "", Ready},
	{"stop", "start", Ready, "s: stop: overtaken by a later start", "", Ready},
	{"stop", "restart", Ready, "s: stop: overtaken by a later restart", "", Ready},
	{"stop", "start of what needs it", Ready, "s: stop: overtaken by a later start", "", Ready},
	{"stop", "up", Ready, "", "", Stopped}, // which leaves alone what was stopped by hand
	{"stop", "stop", Ready, "", "", Stopped},
	{"stop", "remove", Ready, "", "", Stopped},
	{"stop", "end", Ready, "", "", Stopped},
	{"restart", "stop", Ready, "s: restart: overtaken by a later stop", "", Stopped},
	{"restart", "remove", Ready, "s: restart: overtaken by a later remove", "", Stopped},
	{"restart", "end", Ready, "the supervisor is shutting down", "", Stopped},
	{"restart", "start", Ready, "", "", Ready},
	{"restart", "restart", Ready, "", "", Ready},
	{"restart", "rolling", Ready, "", "s: cannot be restarted in a rolling way: it is stopping, so nobody would notice an ordinary one", Ready},
	{"remove", "start", Ready, "s: remove: overtaken by a later start", "", Ready},
	{"remove", "restart", Ready, "s: remove: overtaken by a later restart", "", Ready},
	{"remove", "up", Ready, "s: remove: overtaken by a later up", "", Ready},
	{"remove", "stop", Ready, "", "", Stopped},
	{"remove", "remove", Ready, "", "", Stopped},
	{"remove", "end", Ready, "", "", Stopped},
	{"down", "start", Ready, "s: up: overtaken by a later start", "", Ready},
	{"down", "up", Ready, "s: up: overtaken by a later up", "", Ready},
	{"down", "stop", Ready, "", "", Stopped},
	{"up", "stop", Stopped, "s: up: overtaken by a later stop", "", Stopped},
	{"up", "remove", Stopped, "s: up: overtaken by a later remove", "", Stopped},
	{"up", "down", Stopped, "s: up: overtaken by a later up without it", "", Stopped},
	{"up", "end", Stopped, "the supervisor is shutting down", "", Stopped},
	{"up", "restart", Stopped, "", "", Ready},
	{"rolling", "stop", Ready, "s: rolling restart: overtaken by a later stop", "", Stopped},
	{"rolling", "remove", Ready, "s: rolling restart: overtaken by a later remove", "", Stopped},
	{"rolling", "restart", Ready, "s: rolling restart: overtaken by a later restart", "", Ready},
	{"rolling", "end", Ready, "the supervisor is shutting down", "", Stopped},
	{"rolling", "start", Ready, "", "", Ready},
	{"replaced", "stop", Ready, "s: rolling restart: overtaken by a later stop", "", Stopped},
	{"replaced", "end", Ready, "the supervisor is shutting down", "", Stopped},
	{"reload", "stop", Ready, "s: reload: overtaken by a later stop", "", Stopped},
	{"reload", "restart", Ready, "s: reload: overtaken by a later restart", "", Ready},
	{"reload", "remove", Ready, "s: reload: overtaken by a later remove", "", Stopped},
	{"reload", "start", Ready, "", "", Ready},
	{"wait", "stop", Starting, "s: wait: overtaken by a later stop", "", Stopped},
	{"wait", "remove", Starting, "s: wait: overtaken by a later remove", "", Stopped},
	{"wait", "remove", Stopped, "s: wait: overtaken by a later remove", "", Stopped},
	{"wait", "end", Starting, "the supervisor is shutting down", "", Stopped},
	{"wait", "restart", Starting, "", "", Ready},
	{"wait for stopped", "remove", Ready, "", "", Stopped},
	{"wait for stopped", "end", Ready, "", "", Stopped},
}

// Every order has an answer, and the one that was not carried out says which other one came between.
func TestOvertaken(t *testing.T) {
	for _, o := range overtakings {
		t.Run(o.first+"/"+o.second+"/"+o.from.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { o.try(newBench(t)) })
		})
	}
}

func (o overtaking) try(b *bench) {
	end := b.run()
	ended := false
	described := plain("s", func(s *spec.Service) {
		s.Overlap, s.Reload = true, "USR1"
		s.Stop = spec.StopSchedule{{Signal: "TERM", Wait: spec.Duration(5 * time.Second)}}
	})
	ctx := context.Background()
	s := &service{spec: described, source: "file"}
	b.inOwner(func() {
		b.add(s)
		if o.second == "start of what needs it" {
			b.put(plain("needs-s", requires("s")))
		}
	})
	if o.from != Stopped {
		b.inOwner(func() { b.want([]*service{s}, orderStart) })
	}
	if o.from == Ready {
		b.say(s, notify.Message{Ready: true})
	}
	up := func(services ...spec.Service) error {
		_, err := b.Apply(ctx, Apply{Services: services, Source: "file"})
		return err
	}
	orders := map[string]func() error{
		"start":                  func() error { return b.Start(ctx, "s") },
		"start of what needs it": func() error { return b.Start(ctx, "needs-s") },
		"stop":                   func() error { return b.Stop(ctx, "s") },
		"restart":                func() error { return b.Restart(ctx, "s") },
		"rolling":                func() error { return b.RestartRolling(ctx, "s") },
		"replaced":               func() error { return b.RestartRolling(ctx, "s") },
		"remove":                 func() error { return b.Remove(ctx, "s") },
		"reload":                 func() error { return b.Reload(ctx, "s") },
		"up":                     func() error { return up(described) },
		"down":                   func() error { return up() },
		"wait":                   func() error { return b.Wait(ctx, Ready, "s") },
		"wait for stopped":       func() error { return b.Wait(ctx, Stopped, "s") },
		"end":                    func() error { ended = true; return end() },
	}
	give := func(what string) chan error {
		answer := make(chan error, 1)
		go func() { answer <- orders[what]() }()
		synctest.Wait()
		return answer
	}
	b.k.set(func() { b.k.deaf = true }) // so that each order takes its time
	if o.first == "reload" {
		b.k.set(func() { b.k.deaf = false }) // it does not ignore the signal
		b.kernel.signal = func(int, syscall.Signal) error { return nil }
	}
	first := give(o.first)
	if o.first == "replaced" {
		b.sayAll(notify.Message{Ready: true})
	}
	if o.first == "reload" {
		b.kernel.signal = b.k.signal
	}
	select {
	case err := <-first:
		b.Errorf("%s was answered before anything overtook it: %v", o.first, err)
		first <- err
	default:
	}
	second := give(o.second)
	for range 60 { // whatever is to be ended is, and all else is ready
		time.Sleep(time.Second)
		if !ended {
			b.sayAll(notify.Message{Ready: true})
		}
	}
	for name, answer := range map[string]chan error{o.first: first, o.second: second} {
		want := o.want
		if answer == second {
			want = o.wantSecond
		}
		select {
		case err := <-answer:
			if got := text(err); got != want {
				b.Errorf("%s answers %q, want %q", name, got, want)
			}
		case <-time.After(time.Hour):
			b.Errorf("%s has no answer", name)
		}
	}
	if !ended {
		b.inOwner(func() {
			state := Stopped
			if s := b.byName["s"]; s != nil {
				state = s.state
			}
			if state != o.in {
				b.Errorf("it is %v in the end, want %v", state, o.in)
			}
			b.check()
		})
		if err := end(); err != nil {
			b.Error(err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sayAll has every main process that there is send a message.
func (b *bench) sayAll(m notify.Message) {
	b.Helper()
	b.inOwner(func() {
		for pid := range b.byPID {
			b.heard(heardMessage{sender: sys.Sender{PID: pid}, Message: m})
		}
	})
}

// What failed several steps away is told at once, with its last words' owner, by all that is waited for.
func TestFailureGoesDownTheChain(t *testing.T) {
	for name, order := range map[string]func(b *bench) error{
		"up": func(b *bench) error {
			_, err := b.Apply(context.Background(), Apply{Services: []spec.Service{chainOf("a"), chainOf("b", "a"), chainOf("c", "b")}, Source: "file"})
			return err
		},
		"start": func(b *bench) error { return b.Start(context.Background(), "c") },
		"wait":  func(b *bench) error { return b.Wait(context.Background(), Ready, "c") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				for _, s := range []spec.Service{chainOf("a"), chainOf("b", "a"), chainOf("c", "b")} {
					b.inOwner(func() { b.update(s, "file") })
				}
				if name == "wait" {
					b.inOwner(func() { b.want([]*service{b.byName["c"]}, orderStart) })
				}
				answer := make(chan error, 1)
				go func() { answer <- order(b) }()
				synctest.Wait()
				began := time.Now()
				b.crash(b.byName["a"])
				var err error
				select {
				case err = <-answer:
				case <-time.After(24 * time.Hour):
					t.Error("no answer")
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("after %v", took)
				}
				var c *StartError
				for _, one := range unjoined(err) {
					if e, ok := errors.AsType[*StartError](one); ok && e.Name == "c" {
						c = e
					}
				}
				if c == nil || c.Reason != "waits for b (a has failed)" || c.Cause == nil || c.Cause.Name != "a" || c.Cause.Exit == nil || c.Cause.Exit.Code != 1 {
					t.Errorf("%v: %+v", err, c)
				}
				if name == "up" && len(unjoined(err)) != 3 {
					t.Errorf("not all are told of: %v", err)
				}
			})
		})
	}
}

func chainOf(name string, needs ...string) spec.Service {
	return plain(name, requires(needs...), func(s *spec.Service) { s.Restart = spec.RestartNo })
}

func unjoined(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range list.Unwrap() {
			all = append(all, unjoined(one)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// Who comes after something that never will is not held up by it.
func TestAfterWhatCannotComeUp(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put(chainOf("a"))
		b.put(chainOf("b", "a"))
		c := b.put(plain("c", func(s *spec.Service) { s.After = []string{"b"} }))
		b.inOwner(func() { b.want(b.sorted(), orderStart) })
		b.is(c, Waiting, "waits for b")
		b.crash(b.byName["a"])
		b.is(c, Starting, "")
	})
}

// Up judges all that is to be up, whoever began to start it.
func TestUpJudgesEveryService(t *testing.T) {
	up := func(b *bench, s ...spec.Service) error {
		_, err := b.Apply(context.Background(), Apply{Services: s, Source: "file"})
		return err
	}
	later := func(b *bench, s ...spec.Service) chan error {
		answer := make(chan error, 1)
		go func() { answer <- up(b, s...) }()
		synctest.Wait()
		return answer
	}
	t.Run("four at once", func(t *testing.T) {
		bubble(t, func(b *bench) {
			one := plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo })
			var answers []chan error
			for range 4 {
				answers = append(answers, later(b, one))
			}
			b.crash(b.byName["s"])
			for _, a := range answers {
				if err := <-a; text(err) != "s: exited with status 1 before it was ready" {
					t.Errorf("%v", err)
				}
			}
		})
	})
	t.Run("in backoff", func(t *testing.T) {
		bubble(t, func(b *bench) {
			one := plain("s", func(s *spec.Service) {
				s.Backoff = spec.Backoff{First: new(spec.Duration(time.Hour)), Cap: new(spec.Duration(time.Hour))}
				s.Budget.Restarts = new(-1)
			})
			answer := later(b, one)
			b.crash(b.byName["s"])
			b.crash(b.byName["s"])
			if err := <-answer; text(err) != "s: exited with status 1 before it was ready; it is tried again" {
				t.Errorf("%v", err)
			}
			answer = later(b, one) // is a fresh start, at once
			b.is(b.byName["s"], Starting, "")
			b.crash(b.byName["s"])
			b.crash(b.byName["s"])
			if err := <-answer; err == nil {
				t.Error("up says that all is well of what is in backoff")
			}
			answer = later(b, one)
			b.say(b.byName["s"], readyMessage)
			if err := <-answer; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("ready after some crashes", func(t *testing.T) {
		bubble(t, func(b *bench) {
			answer := later(b, plain("s"), plain("needs-s", requires("s")))
			for range 3 {
				b.crash(b.byName["s"])
				time.Sleep(time.Second)
			}
			b.say(b.byName["s"], readyMessage)
			b.say(b.byName["needs-s"], readyMessage)
			if err := <-answer; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("crashes for ever", func(t *testing.T) {
		bubble(t, func(b *bench) {
			answer := later(b, plain("s", func(s *spec.Service) { s.Budget.Restarts = new(-1) }), plain("needs-s", requires("s")))
			began := time.Now()
			var err error
			for waiting := true; waiting; {
				b.crash(b.byName["s"])
				select {
				case err = <-answer:
					waiting = false
				case <-time.After(100 * time.Millisecond):
				}
			}
			if time.Since(began) > time.Minute || !strings.Contains(text(err), "needs-s: waits for s (backoff); s: exited with status 1") {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		})
	})
	t.Run("start of several, one of which comes up on a second try", func(t *testing.T) {
		bubble(t, func(b *bench) {
			a, c := b.put(plain("a")), b.put(plain("c"))
			answer := make(chan error, 1)
			go func() { answer <- b.Start(context.Background(), "a", "c") }()
			synctest.Wait()
			b.crash(a)
			b.crash(a)
			time.Sleep(time.Second)
			b.say(a, readyMessage)
			b.say(c, readyMessage)
			if err := <-answer; err != nil {
				t.Error(err)
			}
		})
	})
}

// A reload is done when whoever was to do it is there after it.
func TestReloadIsDone(t *testing.T) {
	reloaded := func(b *bench, then func(s *service)) error {
		s := b.put(plain("s", func(s *spec.Service) { s.Reload, s.Ready = "HUP", spec.Probe{Kind: spec.ProbeExec} }))
		b.inOwner(func() { b.want([]*service{s}, orderStart) })
		b.is(s, Ready, "")
		answer := make(chan error, 1)
		go func() { answer <- b.Reload(context.Background(), "s") }()
		synctest.Wait()
		then(s)
		return <-answer
	}
	none := func(int, syscall.Signal) error { return nil }
	t.Run("killed by the signal", func(t *testing.T) {
		bubble(t, func(b *bench) {
			if err := reloaded(b, func(*service) {}); text(err) != "s: reload: it did not outlive it: killed by SIGHUP" {
				t.Errorf("%v", err)
			}
		})
	})
	t.Run("ignored", func(t *testing.T) {
		bubble(t, func(b *bench) {
			b.k.deaf = true
			if err := reloaded(b, func(*service) {}); text(err) != "s: process 101 ignores SIGHUP" {
				t.Errorf("%v", err)
			}
		})
	})
	t.Run("heard", func(t *testing.T) {
		bubble(t, func(b *bench) {
			b.kernel.signal = none
			if err := reloaded(b, func(*service) {}); err != nil {
				t.Error(err)
			}
			b.kernel.signal = b.k.signal
		})
	})
	t.Run("crashed while it says RELOADING=1", func(t *testing.T) {
		bubble(t, func(b *bench) {
			b.kernel.signal = none
			err := reloaded(b, func(s *service) {
				b.say(s, notify.Message{Reloading: true})
				time.Sleep(time.Second)
				b.crash(s)
			})
			if text(err) != "s: reload: it did not outlive it: exited with status 1" {
				t.Errorf("%v", err)
			}
			b.kernel.signal = b.k.signal
		})
	})
}
