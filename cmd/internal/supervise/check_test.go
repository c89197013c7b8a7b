package supervise

import (
	"slices"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

var allStates = []control.State{
	Stopped, Waiting, Starting, Ready, Stopping, Backoff, Failed, Listening,
}

// place puts s into a state as the engine would have it there, with a process if it has one then.
func (b *bench) place(s *service, state control.State) {
	r := lifecycle.Record{State: state, Wanted: state != Stopped && state != Stopping}
	switch state {
	case Starting, Ready, Stopping:
		r.Started = time.Now()
		b.procs.Announce(&s.Unit, "")
		birth := b.procs.Expect()
		pid, _, _ := b.k.fork(&spawn.Spec{})
		birth.Main(&s.Unit, children.Identity{PID: pid}, sys.FileID{})
	case Backoff:
		r.Next = time.Now().Add(time.Hour)
	}
	s.Place(r)
}

// settle does what is posted, as Run would, until nothing is.
func (b *bench) settle() {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if b.loop.Run() == 0 && !b.loop.Busy() && !b.keeper.Busy() {
			return
		}
		time.Sleep(10 * time.Microsecond)
	}
	b.Error("it does not come to rest")
}

// check holds what must always hold.
func (b *bench) check() {
	b.Helper()
	b.checkWith()
}

// checkWith is check where others are alive that are not in the registry.
func (b *bench) checkWith(others ...*service) {
	b.Helper()
	alive := 0
	for _, s := range others {
		if s != nil && s.State() != Stopped && s.State() != Failed {
			alive++
		}
	}
	for _, s := range b.services.Sorted() {
		if s.State() != Stopped && s.State() != Failed {
			alive++
		}
		name := s.Name()
		if s.PID() != 0 && !s.Draining() && !b.isMain(s) {
			b.Errorf("%s: process %d is not found by its pid", name, s.PID())
		}
		if s.PID() == 0 && (s.State() == Ready && s.Spec().Type != spec.Oneshot) {
			b.Errorf("%s: ready without a process", name)
		}
		if (s.State() == Stopped || s.State() == Failed || s.State() == Backoff ||
			s.State() == Waiting || s.State() == Listening) &&
			(s.PID() != 0 || s.HasLeftovers() || s.Spawning()) {
			b.Errorf("%s: %v, with process %d, some left behind: %v, spawning %v",
				name, s.State(), s.PID(), s.HasLeftovers(), s.Spawning())
		}
		if s.Holds() && s.State() != Stopping {
			b.Errorf("%s: holds a stop while %v", name, s.State())
		}
		if s.State() == Backoff && s.Next().IsZero() {
			b.Errorf("%s: in backoff with nothing to end it", name)
		}
		if s.State() == Stopped && !s.Wanted {
			for _, order := range s.waiters.Orders() {
				if order != waiters.Wait {
					b.Errorf("%s: stopped, and still waited for: %s", name, order)
				}
			}
		}
	}
	b.checkNames()
	for s := range b.stopping {
		if s.State() != Stopping && s.State() != Ready && s.State() != Starting {
			b.Errorf("%s: to end together with others, and %v", s.Name(), s.State())
		}
	}
	b.k.set(func() {
		if len(b.k.strayed) > 0 {
			b.Errorf("signals to strangers: %v", b.k.strayed)
		}
	})
	if alive != b.shared.Alive() {
		b.Errorf("%d services live, counted %d", alive, b.shared.Alive())
	}
}

// checkNames: each service is found as it is described, and forgotten when it is to be.
func (b *bench) checkNames() {
	b.Helper()
	for _, s := range b.services.Sorted() {
		name := s.Name()
		if b.services.Named(name) != s {
			b.Errorf("%s is found by another name", name)
		}
		if s.removed && s.State() == Stopped {
			b.Errorf("%s: removed, stopped, and not forgotten", name)
		}
		needed, needers := b.services.Needed(s), b.services.Needers(s)
		for d := range needed {
			if !slices.Contains(slices.Collect(b.services.Needers(d)), s) {
				b.Errorf("%s comes after %s, which does not know it", name, d.Name())
			}
		}
		for d := range needers {
			if !slices.Contains(slices.Collect(b.services.Needed(d)), s) {
				b.Errorf("%s does not come after %s any more", d.Name(), name)
			}
		}
	}
}
