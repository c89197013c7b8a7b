package supervise

import (
	"slices"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

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
