package supervise

import (
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/spec"
)

// record is what a successor must know of one service to go on with it. Times are of the wall
// clock, because that is the one that two processes share; what is reckoned from them is bounded
// where it is read.
type record struct {
	Name string `json:"name"`
	Gone bool   `json:"gone,omitzero"` // forgotten; nothing else is said
	// Spec is here while services.json may not have it.
	Spec   *spec.Service `json:"spec,omitzero"`
	Source string        `json:"source,omitzero"`
	// Environ is as in services.json, and here with Spec.
	Environ string   `json:"environ,omitzero"`
	Held    bool     `json:"held,omitzero"`
	Removed bool     `json:"removed,omitzero"`
	Beside  []beside `json:"beside,omitzero"` // other processes, of a rolling restart
	Ending  bool     `json:"ending,omitzero"` // asked to end together with others

	lifecycle.Record
}

// Of and Forgotten are for the journal.
func (r record) Of() string      { return r.Name }
func (r record) Forgotten() bool { return r.Gone }

// record is the state of s at this moment.
func (e *Engine) record(s *service) record {
	r := record{
		Name: s.Name(), Held: s.held, Removed: s.removed, Beside: s.beside(), Record: s.Record(),
	}
	if s.removed || s.described > e.state.described {
		r.Spec, r.Source, r.Environ = s.Spec(), s.source, s.environ.ID()
	}
	_, r.Ending = e.stopping[s]
	return r
}
