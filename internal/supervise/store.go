package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/spec"
)

// stateVersion is the version of the files below. One version back is read.
const stateVersion = 1

// storedSpecs is services.json: what there is. It changes with "up", "start
// -- PROGRAM" and "remove".
type storedSpecs struct {
	Version  int             `json:"version"`
	Services []storedService `json:"services"`
}

type storedService struct {
	Source string       `json:"source,omitzero"`
	Spec   spec.Service `json:"spec"`
}

// storedWants is wanted.json: what is to be up, and what was stopped by hand.
type storedWants struct {
	Version int      `json:"version"`
	Wanted  []string `json:"wanted"`
	Held    []string `json:"held"`
}

// saveSpecs writes both files.
func (e *Engine) saveSpecs() {
	stored := storedSpecs{Version: stateVersion}
	for _, s := range e.sorted() {
		if !s.removed {
			stored.Services = append(stored.Services, storedService{Source: s.source, Spec: s.spec})
		}
	}
	e.write("services.json", stored)
	e.save()
}

// save writes what is wanted.
func (e *Engine) save() {
	stored := storedWants{Version: stateVersion}
	for _, s := range e.sorted() {
		if s.wanted {
			stored.Wanted = append(stored.Wanted, s.spec.Name)
		}
		if s.held {
			stored.Held = append(stored.Held, s.spec.Name)
		}
	}
	e.write("wanted.json", stored)
}

// write writes a state file whole, or says that it could not; the services go on
// either way.
func (e *Engine) write(name string, v any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = atomicfile.Write(filepath.Join(e.o.StateDir, name), append(data, '\n'), 0o600)
	}
	if err != nil {
		e.o.Trouble(fmt.Errorf("what is wanted is not on disk: %w", err))
		e.emit(nil, Event{Kind: EventTrouble, Reason: err.Error()})
	}
}

// Restore takes in what an earlier supervisor left wanted, and starts it. It is
// for before Run. A file that cannot be read is an error: going on without it would forget
// what somebody wanted.
func (e *Engine) Restore() error {
	var specs storedSpecs
	var wants storedWants
	if err := errors.Join(e.read("services.json", &specs), e.read("wanted.json", &wants)); err != nil {
		return err
	}
	if specs.Version > stateVersion || wants.Version > stateVersion {
		return fmt.Errorf("state in %s: written by a newer version", e.o.StateDir)
	}
	for i, stored := range specs.Services {
		e.services[stored.Spec.Name] = &service{spec: stored.Spec.WithDefaults(), source: stored.Source, seq: i}
	}
	for _, name := range wants.Held {
		if s := e.services[name]; s != nil {
			s.held = true
		}
	}
	var up []*service
	for _, name := range wants.Wanted {
		if s := e.services[name]; s != nil {
			up = append(up, s)
		}
	}
	if len(up) > 0 {
		e.post0(func() { e.want(up) })
	}
	return nil
}

// read reads a state file; one that is not there is empty.
func (e *Engine) read(name string, v any) error {
	path := filepath.Join(e.o.StateDir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
