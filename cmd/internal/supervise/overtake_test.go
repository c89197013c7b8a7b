package supervise

import (
	"context"
	"maps"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// An overtaking is two orders for one service, the second of which comes while the first is waited
// for.
type overtaking struct {
	first, second string
	from          control.State // where the service is before: Ready, Stopped, Stopping
	want          string        // of the first: "" if it was done all the same
	wantSecond    string
	in            control.State // where the service is in the end
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
	{"restart", "rolling", Ready, "",
		"s: cannot be restarted in a rolling way: it is stopping, so nobody would notice an " +
			"ordinary one", Ready},
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

// Every order has an answer, and the one that was not carried out says which other one came
// between.
func TestOvertaken(t *testing.T) {
	for _, o := range overtakings {
		t.Run(o.first+"/"+o.second+"/"+string(o.from), func(t *testing.T) {
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
	s := b.newService(described, "file", nil)
	b.inOwner(func() {
		b.services.Add(s)
		if o.second == "start of what needs it" {
			b.put(plain("needs-s", requires("s")))
		}
	})
	if o.from != Stopped {
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
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
		b.shared.Kernel.Signal = func(int, syscall.Signal) error { return nil }
	}
	first := give(o.first)
	if o.first == "replaced" {
		b.sayAll(notify.Message{Ready: true})
	}
	if o.first == "reload" {
		b.shared.Kernel.Signal = b.k.signal
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
			if s := b.services.Named("s"); s != nil {
				state = s.State()
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
		var pids []int
		b.k.set(func() { pids = slices.Collect(maps.Keys(b.k.live)) })
		for _, pid := range pids {
			b.hearing.Heard(hearing.Message{Sender: sys.Sender{PID: pid}, Message: m})
		}
	})
}
