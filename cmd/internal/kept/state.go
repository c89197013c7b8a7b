package kept

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/spec"
)

// stateVersion is the version of the files below.
const stateVersion = 2

// The state files. What there is changes seldom and is large; what is wanted of it, often and
// small.
const (
	SpecsFile = "services.json"
	WantsFile = "wanted.json"
)

// Specs is services.json: what there is. It changes with "up", "start -- PROGRAM" and "remove".
type Specs struct {
	persist.Versioned
	Services []Service `json:"services"`
}

// Service is how a service is described, and by whom.
type Service struct {
	Source string       `json:"source,omitzero"`
	Spec   spec.Service `json:"spec"`
	// Environ names the file with the environment of the command that described it; empty: the
	// supervisor's own.
	Environ string `json:"environ,omitzero"`
}

// Wants is wanted.json: what is to be up, and what was stopped by hand.
type Wants struct {
	persist.Versioned
	Wanted []string `json:"wanted"`
	Held   []string `json:"held"`
}

// state is what a Keeper has of the state files.
type state struct {
	ballast persist.Ballast
	last    Description
	onDisk  Description // the last one that is
}

// Description counts changes of descriptions.
type Description uint64

// Redescribed counts one that is in no state file yet. Until it is, a record is to have it
// (Described).
func (k *Keeper) Redescribed() Description {
	k.state.last++
	return k.state.last
}

// Described says whether a description is on disk, in services.json.
func (k *Keeper) Described(d Description) bool { return d <= k.state.onDisk }

// beginState takes down what is wanted, and what there is if that has changed.
func (k *Keeper) beginState(changed map[string]struct{}) (write func() error, written func()) {
	ballast, replace := &k.state.ballast, k.Replace
	wants := k.o.Source.Wants()
	wants.Version = stateVersion
	files := []persist.StateFile{k.stateFile(WantsFile, wants)}
	if _, all := changed[SpecsFile]; !all {
		return func() error { return ballast.ReplaceAll(files, replace) }, nil
	}
	specs := k.o.Source.Specs()
	specs.Version = stateVersion
	files = slices.Insert(files, 0, k.stateFile(SpecsFile, specs))
	save, sweep := k.o.Source.Environs()
	last := k.state.last
	write = func() error {
		if err := save(); err != nil {
			return err
		}
		if err := ballast.ReplaceAll(files, replace); err != nil {
			return err
		}
		if err := sweep(); err != nil {
			k.o.Trouble(fmt.Errorf("environments that nobody has any more: %w", err))
		}
		return nil
	}
	return write, func() { k.state.onDisk = last }
}

func (k *Keeper) stateFile(name string, content any) persist.StateFile {
	return persist.StateFile{Path: filepath.Join(k.dirs.State, name), Content: content}
}

// flushState writes at the end what could not be written before.
func (k *Keeper) flushState() error {
	if err := k.State.Flush(); err != nil {
		return fmt.Errorf(stateFailing+": %w", err)
	}
	return nil
}
