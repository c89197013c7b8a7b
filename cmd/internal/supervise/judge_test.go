package supervise

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// What failed several steps away is told at once, with its last words' owner, by all that is waited
// for.
func TestFailureGoesDownTheChain(t *testing.T) {
	for name, order := range map[string]func(b *bench) error{
		"up": func(b *bench) error {
			_, err := b.Apply(context.Background(), Apply{
				Services: []spec.Service{chainOf("a"), chainOf("b", "a"), chainOf("c", "b")},
				Source:   "file",
			})
			return err
		},
		"start": func(b *bench) error { return b.Start(context.Background(), "c") },
		"wait":  func(b *bench) error { return b.Wait(context.Background(), Ready, "c") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				for _, s := range []spec.Service{
					chainOf("a"), chainOf("b", "a"), chainOf("c", "b"),
				} {
					b.inOwner(func() { b.update(s, Apply{Source: "file"}) })
				}
				if name == "wait" {
					b.inOwner(func() { b.want([]*service{b.services.Named("c")}, waiters.Start) })
				}
				answer := make(chan error, 1)
				go func() { answer <- order(b) }()
				synctest.Wait()
				began := time.Now()
				b.crash(b.services.Named("a"))
				var err error
				select {
				case err = <-answer:
				case <-time.After(24 * time.Hour):
					t.Error("no answer")
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("after %v", took)
				}
				var c *waiters.Error
				for _, one := range unjoined(err) {
					if e, ok := errors.AsType[*waiters.Error](one); ok && e.Name == "c" {
						c = e
					}
				}
				if c == nil || c.Reason != "waits for b (a has failed)" || c.Cause == nil ||
					c.Cause.Name != "a" || c.Cause.Exit == nil || c.Cause.Exit.Code != 1 {
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
		b.inOwner(func() { b.want(b.services.Sorted(), waiters.Start) })
		b.is(c, Waiting, "waits for b")
		b.crash(b.services.Named("a"))
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
			b.crash(b.services.Named("s"))
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
				s.Backoff = spec.Backoff{
					First: new(spec.Duration(time.Hour)),
					Cap:   new(spec.Duration(time.Hour)),
				}
				s.Budget.Restarts = new(-1)
			})
			answer := later(b, one)
			b.crash(b.services.Named("s"))
			b.crash(b.services.Named("s"))
			if err := <-answer; text(err) != "s: exited with status 1 before it was ready; it is "+
				"tried again" {
				t.Errorf("%v", err)
			}
			answer = later(b, one) // is a fresh start, at once
			b.is(b.named("s"), Starting, "")
			b.crash(b.services.Named("s"))
			b.crash(b.services.Named("s"))
			if err := <-answer; err == nil {
				t.Error("up says that all is well of what is in backoff")
			}
			answer = later(b, one)
			b.say(b.services.Named("s"), readyMessage)
			if err := <-answer; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("down again while others are waited for", func(t *testing.T) {
		for _, policy := range []spec.Restart{spec.RestartNo, spec.RestartOnFailure} {
			bubble(t, func(b *bench) {
				one := plain("s", func(s *spec.Service) {
					if s.Restart = policy; policy != spec.RestartNo {
						s.Backoff = spec.Backoff{First: new(spec.Duration(time.Hour)),
							Cap: new(spec.Duration(time.Hour))}
						s.Budget.Restarts = new(-1)
					}
				})
				answer := later(b, one, plain("slow"))
				b.say(b.services.Named("s"), readyMessage)
				b.crash(b.services.Named("s"))
				if policy != spec.RestartNo {
					b.crash(b.services.Named("s")) // the first restart has no delay
				}
				b.say(b.services.Named("slow"), readyMessage)
				if err := <-answer; !strings.HasPrefix(text(err), "s: exited with status 1") {
					t.Errorf("%s: %v", policy, err)
				}
			})
		}
	})
	t.Run("ready after some crashes", func(t *testing.T) {
		bubble(t, func(b *bench) {
			answer := later(b, plain("s"), plain("needs-s", requires("s")))
			for range 3 {
				b.crash(b.services.Named("s"))
				time.Sleep(time.Second)
			}
			b.say(b.services.Named("s"), readyMessage)
			b.say(b.services.Named("needs-s"), readyMessage)
			if err := <-answer; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("crashes for ever", func(t *testing.T) {
		bubble(t, func(b *bench) {
			answer := later(b, plain("s", func(s *spec.Service) { s.Budget.Restarts = new(-1) }),
				plain("needs-s", requires("s")))
			began := time.Now()
			var err error
			for waiting := true; waiting; {
				b.crash(b.services.Named("s"))
				select {
				case err = <-answer:
					waiting = false
				case <-time.After(100 * time.Millisecond):
				}
			}
			if time.Since(began) > time.Minute || !strings.Contains(text(err),
				"needs-s: waits for s (backoff); s: exited with status 1") {
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
		s := b.put(plain("s",
			func(s *spec.Service) { s.Reload, s.Ready = "HUP", spec.Probe{Kind: spec.ProbeExec} }))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
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
			err := reloaded(b, func(*service) {})
			if text(err) != "s: reload: it did not outlive it: killed by SIGHUP" {
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
			b.shared.Kernel.Signal = none
			if err := reloaded(b, func(*service) {}); err != nil {
				t.Error(err)
			}
			b.shared.Kernel.Signal = b.k.signal
		})
	})
	t.Run("crashed while it says RELOADING=1", func(t *testing.T) {
		bubble(t, func(b *bench) {
			b.shared.Kernel.Signal = none
			err := reloaded(b, func(s *service) {
				b.say(s, notify.Message{Reloading: true})
				time.Sleep(time.Second)
				b.crash(s)
			})
			if text(err) != "s: reload: it did not outlive it: exited with status 1" {
				t.Errorf("%v", err)
			}
			b.shared.Kernel.Signal = b.k.signal
		})
	})
}

// READY=1 of a service that is ready, and has not said RELOADING=1, is nothing new.
func TestReadyAgain(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		var since time.Time
		b.inOwner(func() { since = s.Since() })
		for range 3 {
			time.Sleep(time.Second)
			b.say(s, readyMessage)
		}
		b.tells("reloaded", 0)
		b.inOwner(func() {
			if s.Since() != since {
				t.Errorf("ready since %v", s.Since().Sub(since))
			}
		})
		b.say(s, notify.Message{Reloading: true})
		b.say(s, readyMessage)
		b.say(s, readyMessage)
		b.tells("reloaded", 1)
	})
}

// A program that puts itself into the background is named as that: it ends well, and leaves
// processes.
func TestPutsItselfIntoTheBackground(t *testing.T) {
	const background = ", and left 1 process behind: it puts itself into the background"
	for name, ready := range map[string]bool{
		"exited with status 0 before it was ready": false, "exited with status 0": true,
	} {
		bubble(t, func(b *bench) {
			answer := make(chan error, 1)
			go func() {
				_, err := b.Apply(
					context.Background(),
					Apply{
						Services: []spec.Service{
							plain("s", requires("a")),
							plain("a", func(s *spec.Service) {
								s.Budget.Restarts = new(0)
							}),
						},
						Source: "file",
					},
				)
				answer <- err
			}()
			synctest.Wait()
			a := b.services.Named("a")
			b.k.adopt(b.pidOf(a))
			if ready {
				b.say(a, readyMessage)
			}
			b.k.die(b.pidOf(a), exited(0))
			if ready {
				synctest.Wait()
				b.k.die(b.pidOf(b.services.Named("s")), exited(0)) // it has nothing to ask
			}
			synctest.Wait()
			time.Sleep(time.Minute)
			b.inOwner(func() {
				if !strings.HasPrefix(a.Reason(), name+background) {
					t.Errorf("%v: %q", a.State(), a.Reason())
				}
			})
			if err := <-answer; !ready && !strings.HasPrefix(text(err), "a: "+name+background) &&
				!strings.Contains(text(err), "\na: "+name+background) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Who waits for what has not been started yet waits on; what was stopped by hand is not to be
// started.
func TestWaitForTheHeld(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		isNot(t, b.Wait(ctx, Ready, "s"), context.DeadlineExceeded)
		if err := b.Stop(context.Background(), "s"); err != nil {
			t.Error(err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, ok := errors.AsType[*waiters.Error](b.Wait(ctx, Ready, "s")); !ok {
			t.Error("it is waited for")
		}
		b.is(s, Stopped, "")
	})
}
