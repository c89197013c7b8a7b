// Package waiters has those who wait for a service, and says what each of them is told, and when.
//
// All of it is of the goroutine that owns the services, but for Await.
package waiters

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Service is what answers depend on, as lifecycle.Service has it.
type Service interface {
	Name() string
	Spec() *spec.Service
	PID() int
	State() control.State
	Reason() string
	Exit() *control.Exit
	Cause() error
	Next() time.Time
	Completed() bool
	Forked() bool
	Reloading() bool
	WhyRefused() string

	// Held says that it was stopped by hand, and is not started but by hand.
	Held() bool
	// Obstacle says, while it waits, why what it waits for does not come about.
	Obstacle() Obstacle
}

// Obstacle is why what a service waits for does not come about. The zero value: it is on its way.
type Obstacle struct {
	Text     string  // for people, "db has failed"
	Service  Service // that is down, perhaps several steps away; nil if there is none of the name
	Hopeless bool    // it does not come about by itself
}

// List are those who wait for one service.
type List struct {
	service Service
	waiters []*Waiter
}

// New makes a list of nobody.
func New(s Service) *List { return &List{service: s} }

// Move has those who wait go on waiting for another process of the service.
func (l *List) Move(to Service) { l.service = to }

// patience is how long a service that crashes on its way up, and is started again, is waited for at
// most: as long as what it needs, such as the port of a predecessor, is most often not free.
const patience = 10 * time.Second

// Add has somebody wait, who has no answer before the next Wake.
func (l *List) Add(want Want) *Waiter {
	w := &Waiter{Want: want, list: l, answer: make(chan error, 1)}
	w.until = time.Now().Add(min(time.Duration(*l.service.Spec().Timeout), patience))
	l.waiters = append(l.waiters, w)
	return w
}

// AddReload is Add for a reload that is under way.
func (l *List) AddReload() *Waiter { return l.Add(Want{Order: Reload, Up: true}) }

// AddReloadCommand is AddReload for one by a command, whose end is told to the waiter.
func (l *List) AddReloadCommand() *Waiter {
	w := l.AddReload()
	w.running = true
	return w
}

// Wake answers those whose wait is over.
func (l *List) Wake() { l.tell((*Waiter).over) }

// Overtake answers those who wait for what an order, which is about to be carried out, makes
// impossible.
func (l *List) Overtake(by Order) {
	l.tell(func(w *Waiter) (error, bool) {
		return Overtaken(l.service.Name(), w.Order, by), w.overtakenBy(by)
	})
}

// Reloaded hears that a reload is over, as far as the process tells: nil, or why it did not come to
// its end.
func (l *List) Reloaded(err error) {
	if err != nil {
		l.tell(func(w *Waiter) (error, bool) { return err, w.Order == Reload })
	}
	for _, w := range l.waiters {
		w.reloaded = !w.running
	}
	l.Wake()
}

// Orders are what those who wait have asked for, for tests.
func (l *List) Orders() []Order {
	list := make([]Order, len(l.waiters))
	for i, w := range l.waiters {
		list[i] = w.Order
	}
	return list
}

// tell gives those who wait the answer that f has for them, if it has one.
func (l *List) tell(f func(*Waiter) (error, bool)) {
	l.waiters = slices.DeleteFunc(l.waiters, func(w *Waiter) bool {
		err, over := f(w)
		if over {
			w.answer <- err
		}
		return over
	})
}

// Await waits until all answers are there, in any goroutine; it returns them joined, or why they
// are not waited for any more: the end of ctx or of the loop, whose owner has the services. One
// that has failed and come up since, while others were waited for, is up; one that was up and has
// failed since is down.
func Await(ctx context.Context, l *loop.Loop, list []*Waiter) error {
	answers := make([]error, len(list))
	for i, w := range list {
		var end error
		if answers[i], end = loop.Await(ctx, l, w.Answer()); end != nil {
			l.Post(func() { giveUp(list[i:]) })
			return end
		}
	}
	_ = l.Ask(ctx, func() { // at the end of the owner nothing comes up any more
		for i, w := range list {
			answers[i] = w.byNow(answers[i])
		}
	})
	return errors.Join(answers...)
}

// giveUp forgets those of a list behind whom nobody waits any more.
func giveUp(list []*Waiter) {
	for _, w := range list {
		w.list.waiters = slices.DeleteFunc(w.list.waiters,
			func(o *Waiter) bool { return o == w })
	}
}
