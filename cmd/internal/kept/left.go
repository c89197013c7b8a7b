package kept

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// Left is what an earlier supervisor has left on disk. It is read before anything is done, and
// reading changes nothing: what cannot be read is left for a program that can.
type Left struct {
	Specs Specs
	Wants Wants
	persist.Found[Record]
}

// Find reads it. An error means that it is not known what somebody wanted, or what runs: there is
// no going on without it.
func Find(dirs Dirs) (left Left, err error) {
	specs := filepath.Join(dirs.State, SpecsFile)
	if err := errors.Join(
		persist.ReadState(specs, stateVersion, &left.Specs),
		persist.ReadState(filepath.Join(dirs.State, WantsFile), stateVersion, &left.Wants),
	); err != nil {
		return left, err
	}
	if err := left.Specs.check(specs); err != nil {
		return left, err
	}
	left.Found, err = persist.Find[Record](dirs.State, dirs.Runtime)
	return left, err
}

// check refuses what no supervisor has written.
func (s *Specs) check(path string) error {
	seen := map[string]bool{}
	for _, stored := range s.Services {
		if seen[stored.Spec.Name] {
			return fmt.Errorf("%s: service %s is in it twice", path, stored.Spec.Name)
		}
		seen[stored.Spec.Name] = true
	}
	return nil
}

// Unused says what of the journal is not used.
func (l *Left) Unused() (list []error) {
	for _, fault := range l.Faults {
		list = append(list, fmt.Errorf("what the last supervisor knew: %w; passed over", fault))
	}
	if l.Refused != nil {
		const text = "what the last supervisor knew is refused: %w"
		list = append(list, fmt.Errorf(text, l.Refused))
	}
	return list
}
