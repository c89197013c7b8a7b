package kept

import (
	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/spec"
)

// Record is what a successor must know of one service to go on with it. Times are of the wall
// clock, because that is the one that two processes share; what is reckoned from them is bounded
// where it is read.
type Record struct {
	Name string `json:"name"`
	Gone bool   `json:"gone,omitzero"` // forgotten; nothing else is said
	// Spec is here while services.json may not have it.
	Spec   *spec.Service `json:"spec,omitzero"`
	Source string        `json:"source,omitzero"`
	// Environ is as in services.json, and here with Spec.
	Environ string   `json:"environ,omitzero"`
	Held    bool     `json:"held,omitzero"`
	Removed bool     `json:"removed,omitzero"`
	Beside  []Beside `json:"beside,omitzero"` // other processes, of a rolling restart
	Ending  bool     `json:"ending,omitzero"` // asked to end together with others

	lifecycle.Record
}

// Of and Forgotten are for the journal.
func (r Record) Of() string      { return r.Name }
func (r Record) Forgotten() bool { return r.Gone }

// Beside is a process of a service beside its main one, in a rolling restart.
type Beside struct {
	Invocation string            `json:"invocation"`
	Main       children.Identity `json:"main,omitzero"`
	Session    int               `json:"session,omitzero"`
}
