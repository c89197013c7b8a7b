package waiters

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/control"
)

// waits is what becomes of those who wait for a service to which anything happens.
type waits struct {
	t       *rapid.T
	service *fake
	list    *List
	all     []*Waiter
	answers map[*Waiter]int
	gone    map[*Waiter]bool // given up
}

// Whatever happens, everybody has one answer or has given up, and nobody is told that a service is
// where it is wanted when it is not.
func TestEverybodyIsAnsweredOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &waits{t: t, answers: map[*Waiter]int{}, gone: map[*Waiter]bool{}}
		r.service = r.stand("state", states()...)
		r.list = New(r.service)
		t.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { r.collect() },
			"add":     func(*rapid.T) { r.add() },
			"change":  func(*rapid.T) { *r.service = *r.stand("state", states()...); r.wake() },
			"replace": func(*rapid.T) { r.replace() },
			"overtake": func(*rapid.T) {
				r.list.Overtake(r.order("by", Start, Stop, Restart, Rolling, Remove, Apply, Drop))
			},
			"reloaded": func(*rapid.T) { r.list.Reloaded(r.failure()); r.list.Wake() },
			"command":  func(*rapid.T) { r.command() },
			"give up":  func(*rapid.T) { r.giveUp() },
		})
		r.collect()
		r.list.Overtake(End)
		*r.service = fake{state: r.state("end", control.Stopped, control.Failed)}
		r.wake()
		r.collect()
		if left := r.list.Orders(); len(left) > 0 {
			t.Fatalf("in the end there still wait %v", left)
		}
	})
}

func states() []control.State {
	return []control.State{
		control.Stopped, control.Waiting, control.Starting, control.Ready, control.Stopping,
		control.Backoff, control.Failed, control.Listening,
	}
}

func (r *waits) state(label string, of ...control.State) control.State {
	return rapid.SampledFrom(of).Draw(r.t, label)
}

func (r *waits) order(label string, of ...Order) Order {
	return rapid.SampledFrom(of).Draw(r.t, label)
}

func (r *waits) flag(label string) bool { return rapid.Bool().Draw(r.t, label) }

func (r *waits) failure() error {
	if r.flag("fails") {
		return errors.New("failed")
	}
	return nil
}

// stand is a service that stands somehow.
func (r *waits) stand(label string, of ...control.State) *fake {
	f := &fake{state: r.state(label, of...), timeout: time.Second, reason: "as it is"}
	switch f.state {
	case control.Ready:
		f.reloading = r.flag("reloading")
	case control.Stopping:
		f.refused = map[bool]string{true: "may not be ended"}[r.flag("refused")]
	case control.Stopped:
		f.held, f.completed = r.flag("held"), r.flag("completed")
		if r.flag("ran") {
			f.exit = &control.Exit{Code: rapid.IntRange(0, 1).Draw(r.t, "code")}
		}
	case control.Backoff:
		f.next = time.Now().Add(map[bool]time.Duration{true: time.Hour}[r.flag("late")])
	case control.Waiting:
		if r.flag("in vain") {
			down := &fake{name: "down", state: control.Backoff}
			f.obstacle = Obstacle{"down has failed", down, r.flag("hopeless")}
		}
	}
	return f
}

func (r *waits) add() {
	switch order := r.order("order", Start, Stop, Restart, Remove, Apply, Wait, Reload); order {
	case Reload:
		if r.service.state == control.Ready {
			add := r.list.AddReload
			if r.flag("by command") {
				add = r.list.AddReloadCommand
			}
			r.all = append(r.all, add())
		}
	case Apply, Wait:
		r.all = append(r.all, r.list.Add(Want{order, r.flag("up")}))
	default:
		r.all = append(r.all, r.list.Add(Want{order, !order.wantsDown()}))
	}
	r.wake()
}

// replace has another process, which is ready, take the place of the service's.
func (r *waits) replace() {
	r.list.Overtake(Rolling)
	r.service = &fake{state: control.Ready}
	r.list.Move(r.service)
	r.wake()
}

func (r *waits) command() {
	running := slices.DeleteFunc(slices.Clone(r.all), func(w *Waiter) bool { return !w.running })
	if len(running) > 0 {
		rapid.SampledFrom(running).Draw(r.t, "command").CommandEnded(r.failure())
	}
}

func (r *waits) giveUp() {
	if len(r.all) == 0 {
		return
	}
	w := rapid.SampledFrom(r.all).Draw(r.t, "who")
	giveUp([]*Waiter{w})
	r.gone[w] = true
}

// wake wakes, after which nobody waits for what has come about.
func (r *waits) wake() {
	r.list.Wake()
	s := r.service
	for _, w := range r.list.waiters {
		down := s.state == control.Stopped || s.state == control.Failed
		isUp := s.state == control.Ready && !s.reloading && w.Order != Reload
		if w.Up && isUp || !w.Up && down {
			r.t.Fatalf("%+v is waited for, and it is %s", w.Want, s.state)
		}
	}
}

// collect takes the answers that there are, and looks who has none.
func (r *waits) collect() {
	for _, w := range r.all {
		select {
		case err := <-w.Answer():
			r.answers[w]++
			r.judge(w, err)
		default:
		}
		waiting := slices.Contains(r.list.waiters, w)
		switch n := r.answers[w]; {
		case n > 1:
			r.t.Fatalf("%+v has %d answers", w.Want, n)
		case n == 1 && waiting:
			r.t.Fatalf("%+v has its answer and waits", w.Want)
		case n == 0 && waiting == r.gone[w]:
			r.t.Fatalf("%+v has no answer; it waits: %v", w.Want, waiting)
		}
	}
}

// judge looks whether an answer that all is well is true. What was just answered is of the state
// that is, since answers are collected after each step.
func (r *waits) judge(w *Waiter, err error) {
	s := r.service
	where := s.state == control.Stopped || s.state == control.Failed
	if w.Up {
		where = s.state == control.Ready && !s.reloading || s.state == control.Listening ||
			s.state == control.Stopped && (s.completed || s.exit != nil && s.exit.Code == 0)
	}
	if err == nil && !where {
		r.t.Fatalf("%+v is told that all is well: %+v", w.Want, s)
	}
}
