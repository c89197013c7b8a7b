package supervise

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/spec"
)

// stateVersion is the version of the files below.
const stateVersion = 2

// The state files. What there is changes seldom and is large; what is wanted of it, often and
// small.
const (
	specsFile = "services.json"
	wantsFile = "wanted.json"
)

// storedSpecs is services.json: what there is. It changes with "up", "start
// -- PROGRAM" and "remove".
type storedSpecs struct {
	persist.Versioned
	Services []storedService `json:"services"`
}

type storedService struct {
	Source string       `json:"source,omitzero"`
	Spec   spec.Service `json:"spec"`
	// Environ names the file with the environment of the command that described it; empty: the
	// supervisor's own.
	Environ string `json:"environ,omitzero"`
}

// storedWants is wanted.json: what is to be up, and what was stopped by hand.
type storedWants struct {
	persist.Versioned
	Wanted []string `json:"wanted"`
	Held   []string `json:"held"`
}

// stateFiles keeps them up to date. Its Writer is of their names: whatever is marked, wanted.json
// is written.
type stateFiles struct {
	*persist.Writer[string]
	ballast   persist.Ballast
	replace   func(persist.StateFile) error
	last      uint64 // counts changes of descriptions
	described uint64 // of those, the last that is on disk
	environs  *environ.Set
}

const stateFailing = "what is wanted is not on disk"

// NotSavedError says that something was done, and would be forgotten if the supervisor ended now.
type NotSavedError struct{ Err error }

func (e *NotSavedError) Error() string {
	return fmt.Sprintf("done, but not on disk: a restarted supervisor would not know it: %v", e.Err)
}

// Unwrap returns why the file could not be written.
func (e *NotSavedError) Unwrap() error { return e.Err }

// changed has what is wanted written, and with specs also what there is. What it returns has
// room for the answer: nil when it is on disk, else a NotSavedError.
func (e *Engine) changed(specs bool) <-chan error {
	saved := make(chan error, 1)
	e.state.Mark(wantsFile)
	if specs {
		e.state.Mark(specsFile)
	}
	e.state.Await(func(err error) {
		if err != nil {
			err = &NotSavedError{err}
		}
		saved <- err
	})
	return saved
}

// WantedChanged has it on disk that s has changed what is wanted.
func (s *service) WantedChanged() { s.engine.state.Write(wantsFile) }

// described takes note of a new description.
func (e *Engine) described(s *service) {
	e.redescribed(s)
	e.note(s)
}

// redescribed has the journal say how s is described until services.json does.
func (e *Engine) redescribed(s *service) {
	e.state.last++
	s.described = e.state.last
}

// beginState takes down what is wanted, and what there is if that has changed. Descriptions are
// replaced and never changed in place, so that they can be read elsewhere.
func (e *Engine) beginState(changed map[string]struct{}) (write func() error, written func()) {
	files, replace := []persist.StateFile{e.wants()}, e.state.replace
	if _, specs := changed[specsFile]; !specs {
		return func() error { return e.state.ballast.ReplaceAll(files, replace) }, nil
	}
	files = slices.Insert(files, 0, e.specs())
	save, sweep := e.useEnvirons()
	last := e.state.last
	write = func() error { return e.writeDescribed(files, save, sweep) }
	return write, func() { e.state.described = last }
}

func (e *Engine) specs() persist.StateFile {
	stored := storedSpecs{Versioned: persist.Versioned{Version: stateVersion}}
	for _, s := range e.services.Sorted() {
		if !s.removed {
			one := storedService{Source: s.source, Spec: *s.Spec(), Environ: s.environ.ID()}
			stored.Services = append(stored.Services, one)
		}
	}
	return e.stateFile(specsFile, stored)
}

func (e *Engine) wants() persist.StateFile {
	stored := storedWants{Versioned: persist.Versioned{Version: stateVersion}}
	for _, s := range e.services.Sorted() {
		if s.Wanted {
			stored.Wanted = append(stored.Wanted, s.Name())
		}
		if s.held {
			stored.Held = append(stored.Held, s.Name())
		}
	}
	return e.stateFile(wantsFile, stored)
}

func (e *Engine) stateFile(name string, content any) persist.StateFile {
	return persist.StateFile{Path: filepath.Join(e.o.StateDir, name), Content: content}
}

// writeDescribed writes the environments that files name, and then those.
func (e *Engine) writeDescribed(files []persist.StateFile, save, sweep func() error) error {
	if err := save(); err != nil {
		return err
	}
	if err := e.state.ballast.ReplaceAll(files, e.state.replace); err != nil {
		return err
	}
	if err := sweep(); err != nil {
		e.o.Trouble(fmt.Errorf("environments that nobody has any more: %w", err))
	}
	return nil
}

// flushState writes at the end what could not be written before.
func (e *Engine) flushState() error {
	if err := e.state.Flush(); err != nil {
		return fmt.Errorf(stateFailing+": %w", err)
	}
	return nil
}
