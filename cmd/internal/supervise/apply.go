package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
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

// environField is what a plan calls the environment that a service inherits.
const environField = "environment"

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

// plan compares; it changes nothing.
func (e *Engine) plan(a Apply, want []spec.Service) ([]control.Planned, error) {
	// Names that the services depend on may be among those that are there already.
	names := map[string]bool{}
	for _, s := range want {
		names[s.Name] = true
	}
	var beside []spec.Service
	for _, s := range e.services.Sorted() {
		if !names[s.Name()] && (s.source != a.Source || a.Source == "") {
			beside = append(beside, *s.Spec())
		}
	}
	if problems := spec.ValidateSet(slices.Concat(want, beside)); len(problems) > 0 {
		return nil, problems
	}
	if problems := spec.ValidateSupervised(want, beside, e.o.LogDir); len(problems) > 0 {
		return nil, problems
	}
	plan := []control.Planned{} // the API promises a list
	for _, s := range want {
		plan = append(plan, e.planOne(s, a))
	}
	for _, s := range e.services.Sorted() {
		if a.Source != "" && s.source == a.Source && !names[s.Name()] {
			plan = append(plan, control.Planned{Name: s.Name(), Action: control.ActionRemove})
		}
	}
	return plan, nil
}

func (e *Engine) planOne(want spec.Service, a Apply) control.Planned {
	p := control.Planned{Name: want.Name}
	s := e.services.Named(want.Name)
	if s == nil {
		p.Action = control.ActionAdd
		return p
	}
	p.Held = s.held
	changes := spec.Diff(*s.Spec(), want)
	for _, c := range changes {
		p.Fields = append(p.Fields, c.Field)
	}
	if p.Environ = e.environChanges(s, a.environ); len(p.Environ) > 0 {
		p.Fields = append(p.Fields, environField)
	}
	// A command line describes one service for now, its environment included. An "up" may be called
	// from anywhere: the next process has it.
	born := len(p.Environ) > 0 && a.Source == ""
	switch effect := spec.EffectOf(changes); {
	case (effect == spec.EffectRestart || born) && s.active():
		p.Action = control.ActionRestart
	case len(p.Fields) > 0:
		p.Action = control.ActionUpdate
	case !a.NoStart && s.isMissing(want):
		p.Action = control.ActionStart
	default:
		p.Action = control.ActionNone
	}
	return p
}

// isMissing says whether s is to be up, as want describes it, and is neither that nor about to be.
// What waits for the end of a delay is started now: whoever asks for it gives it a fresh start.
func (s *service) isMissing(want spec.Service) bool {
	return !s.held && !s.Unproven() && (*want.Autostart || s.Wanted) &&
		(!s.active() || s.State() == Backoff) && !s.Satisfied()
}

// active says whether s is up or on its way there.
func (s *service) active() bool {
	return s.Wanted && (s.State() == Waiting || s.State() == Starting || s.State() == Ready ||
		s.State() == Listening || s.State() == Backoff || s.State() == Stopping)
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

// update puts a description in place, for a service that is there or a new one.
func (e *Engine) update(want spec.Service, a Apply) *service {
	s := e.services.Named(want.Name)
	if s == nil {
		s = e.newService(want, a.Source, nil)
		e.services.Add(s)
		// Those who need the name needed its instances until now.
		e.releaseSoon(slices.Values(e.services.Instances(s.Name())))
		e.describeEnviron(s, a.environ)
		e.readopt(s)
		e.described(s)
		s.Tell(control.EventChange, "added")
		return s
	}
	changes := spec.Diff(*s.Spec(), want)
	if a.Source != "" {
		s.source = a.Source
	}
	s.removed = false
	inherits := e.describeEnviron(s, a.environ)
	if len(changes) == 0 && !inherits {
		return s
	}
	needed := e.services.Needed(s)
	e.services.Redescribe(s, func() { s.Describe(want) })
	e.releaseSoon(needed) // it may not need them any more
	if s.Holds() {
		e.post(s.Release) // as another instance, or none, it may be needed by others
	}
	e.described(s)
	fields := make([]string, len(changes))
	for i, c := range changes {
		fields[i] = c.Field
	}
	if inherits {
		fields = append(fields, environField)
	}
	s.Tell(control.EventChange, "changed: %s", strings.Join(fields, ", "))
	if s.Stream() != nil {
		e.reconfigure(s)
	}
	s.Redescribed()
	e.recheckSoon(s) // it may come after others by now
	return s
}

// reconfigure has the log of s be as its description says. Of two that are under way the older may
// be the last to end: so it looks whether the description is still the one that it began with.
func (e *Engine) reconfigure(s *service) {
	stream, want, described, dir := s.Stream(), *s.Spec(), s.described, e.o.LogDir
	e.work(func() func() {
		config, err := supervised.LogConfig(want, dir)
		if err == nil {
			err = stream.Reconfigure(config)
		}
		return func() {
			if err != nil {
				e.o.Trouble(fmt.Errorf("log of %s: %w", want.Name, err))
			}
			if now := e.services.Named(want.Name); now != nil && now.Stream() == stream &&
				now.described != described {
				e.reconfigure(now)
			}
		}
	})
}
