package supervise

import (
	"context"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/control"
)

func (o *Options) dirs() kept.Dirs {
	return kept.Dirs{Runtime: o.RuntimeDir, State: o.StateDir, Displaced: o.Displaced}
}

func (e *Engine) newKeeper() *kept.Keeper {
	return kept.New(kept.Options{
		Source: source{e}, Post: e.post, Trouble: e.o.Trouble, Tell: e.tellTrouble,
	})
}

func (e *Engine) tellTrouble(text string) { e.tell(control.EventTrouble, text) }

// source is the engine as the keeper asks it. Descriptions are replaced and never changed in place,
// so that they can be read elsewhere.
type source struct{ e *Engine }

func (c source) Record(name string) (r kept.Record, ok bool) {
	if s := c.e.services.Named(name); s != nil {
		return s.record(), true
	}
	return r, false
}

func (c source) Records() []kept.Record {
	list := make([]kept.Record, 0, c.e.services.Len()+len(c.e.unknown))
	for _, s := range c.e.services.Sorted() {
		list = append(list, s.record())
	}
	for _, r := range c.e.unknown {
		list = append(list, r)
	}
	return list
}

// record is the state of s at this moment.
func (s *service) record() kept.Record {
	e := s.engine
	r := kept.Record{
		Name: s.Name(), Held: s.held, Removed: s.removed, Beside: s.beside(),
		Record: s.Service.Record(),
	}
	if s.removed || !e.keeper.Described(s.described) {
		r.Spec, r.Source, r.Environ = s.Spec(), s.source, s.environ.ID()
	}
	_, r.Ending = e.stopping[s]
	return r
}

func (c source) Specs() (specs kept.Specs) {
	for _, s := range c.e.services.Sorted() {
		if !s.removed {
			one := kept.Service{Source: s.source, Spec: *s.Spec(), Environ: s.environ.ID()}
			specs.Services = append(specs.Services, one)
		}
	}
	return specs
}

func (c source) Wants() (wants kept.Wants) {
	for _, s := range c.e.services.Sorted() {
		if s.Wanted {
			wants.Wanted = append(wants.Wanted, s.Name())
		}
		if s.held {
			wants.Held = append(wants.Held, s.Name())
		}
	}
	return wants
}

func (c source) Environs() (save, sweep func() error) { return c.e.useEnvirons() }

// WantedChanged has it on disk that s has changed what is wanted.
func (s *service) WantedChanged() { s.engine.keeper.State.Write(kept.WantsFile) }

// described takes note of a new description.
func (e *Engine) described(s *service) {
	s.described = e.keeper.Redescribed()
	e.note(s)
}

// note has the journal say what is true of s now.
func (e *Engine) note(s *service) {
	if s = s.registered(); e.services.Named(s.Name()) == s {
		e.keeper.Journal.Write(s.Name())
	}
}

// Note is note, and NoteSoon for what changes as often as a service likes.
func (s *service) Note()     { s.engine.note(s) }
func (s *service) NoteSoon() { s.engine.keeper.Journal.WriteSoon(s.Name()) }

// Noted calls then when what is true of s is on disk, or cannot be written.
func (s *service) Noted(then func()) {
	s.Note()
	s.engine.keeper.Journal.Await(func(error) { then() })
}

// Save writes all that a successor needs, and returns when it is on disk.
func (e *Engine) Save(ctx context.Context) error {
	done := make(chan error, 1)
	if err := e.ask(ctx, func() {
		e.keeper.Save(func(err error) { done <- err })
	}); err != nil {
		return err
	}
	return e.answered(ctx, done)
}

// Owned is persist.Owned.
func Owned(stateDir string) bool { return persist.Owned(stateDir) }

// CutOff is persist.CutOff.
func CutOff(stateDir string) bool { return persist.CutOff(stateDir) }
