package supervise

import (
	"context"
	"errors"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Apply is a request to make reality match a set of descriptions.
type Apply struct {
	// Services are all there are in Source, not expanded.
	Services []spec.Service
	// Source is the file they are from: services of that source which are not
	// among Services are removed. Empty: nothing is removed.
	Source string
	// Environ is what Services inherit. Nil leaves those that are there what they have, and gives
	// new ones the supervisor's own.
	Environ []string
	// PlanOnly changes nothing.
	PlanOnly bool
	// NoStart starts none that is not up.
	NoStart bool

	environ *environ.Environment // of Environ
}

// Apply makes reality match. It returns the plan, and after that when every service of a that is to
// be up is ready or has failed (waiters.Error, joined), whoever started it, and what is to be
// removed is gone. One that crashes on its way up is waited for as long as it is tried again within
// its time-out, and within ten seconds.
func (e *Engine) Apply(ctx context.Context, a Apply) ([]control.Planned, error) {
	var plan []control.Planned
	var err error
	var list []*waiters.Waiter
	var saved <-chan error
	a.environ = inherited(a.Environ)
	if a.environ != nil && !a.PlanOnly {
		// that it cannot be is told by what saves the descriptions
		_ = e.environs.Save(a.environ)
	}
	if askErr := e.ask(ctx, func() {
		if e.shared.Closing {
			err = ErrClosed
			return
		}
		want := spec.ExpandSet(a.Services)
		for i := range want {
			want[i] = want[i].WithDefaults()
		}
		if plan, err = e.plan(a, want); err != nil || a.PlanOnly {
			return
		}
		list = e.carryOut(a, want, plan)
		saved = e.changed(true)
	}); askErr != nil {
		return nil, askErr
	}
	switch {
	case err != nil:
		return nil, err
	case a.PlanOnly:
		return plan, nil
	}
	return plan, errors.Join(waiters.Await(ctx, e.loop, list), e.answered(ctx, saved))
}

// carryOut does what the plan says and returns those to wait for.
func (e *Engine) carryOut(a Apply, want []spec.Service, plan []control.Planned) []*waiters.Waiter {
	var start, removed []*service
	for i, p := range plan {
		if p.Action == control.ActionRemove {
			removed = append(removed, e.services.Named(p.Name))
			continue
		}
		s := e.update(want[i], a)
		if p.Action == control.ActionRestart {
			e.restart(s, "changed: "+strings.Join(p.Fields, ", "), waiters.Apply)
			start = append(start, s)
		}
		if s.isMissing(*s.Spec()) {
			start = append(start, s)
		}
	}
	e.removeAll(removed, waiters.Drop)
	for _, p := range plan {
		if p.Action == control.ActionAdd {
			e.services.Named(p.Name).follow(removed)
		}
	}
	if a.NoStart {
		return nil
	}
	e.want(start, waiters.Apply)
	var up []*service
	for _, s := range want {
		if s := e.services.Named(s.Name); s.Wanted && !s.held {
			up = append(up, s)
		}
	}
	return append(e.waitFor(up, waiters.Want{Order: waiters.Apply, Up: true}),
		e.waitFor(removed, waiters.Want{Order: waiters.Apply})...)
}
