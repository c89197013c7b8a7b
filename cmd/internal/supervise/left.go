package supervise

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// leftState is what an earlier supervisor has left on disk. It is read before anything is done, and
// reading changes nothing: what cannot be read is left for a program that can.
type leftState struct {
	specs storedSpecs
	wants storedWants
	persist.Found[record]
}

// readLeft reads it. An error means that it is not known what somebody wanted, or what runs: there
// is no going on without it.
func readLeft(o Options) (l leftState, err error) {
	specs := filepath.Join(o.StateDir, specsFile)
	if err := errors.Join(
		persist.ReadState(specs, stateVersion, &l.specs),
		persist.ReadState(filepath.Join(o.StateDir, wantsFile), stateVersion, &l.wants),
	); err != nil {
		return l, err
	}
	if err := l.specs.check(specs); err != nil {
		return l, err
	}
	l.Found, err = persist.Find[record](o.StateDir, o.RuntimeDir)
	return l, err
}

// check refuses what no supervisor has written.
func (s *storedSpecs) check(path string) error {
	seen := map[string]bool{}
	for _, stored := range s.Services {
		if seen[stored.Spec.Name] {
			return fmt.Errorf("%s: service %s is in it twice", path, stored.Spec.Name)
		}
		seen[stored.Spec.Name] = true
	}
	return nil
}

// tell says what of the journal is not used.
func (l *leftState) tell(trouble func(error)) {
	for _, fault := range l.Faults {
		trouble(fmt.Errorf("what the last supervisor knew: %w; passed over", fault))
	}
	if l.Refused != nil {
		trouble(fmt.Errorf("what the last supervisor knew is refused: %w", l.Refused))
	}
}

// Restore takes in what an earlier supervisor has left, which New has read: services that run, with
// all that was known of them, and what else is wanted, which is started. It is for before Run.
func (e *Engine) Restore() {
	l := e.left
	e.left = leftState{}
	for _, stored := range l.specs.Services {
		e.add(e.newService(service{
			spec: stored.Spec.WithDefaults(), source: stored.Source, environ: e.environOf(stored.Environ), since: time.Now(),
		}))
	}
	for _, name := range l.wants.Held {
		if s := e.byName[name]; s != nil {
			s.held = true
		}
	}
	var up []*service
	for _, name := range l.wants.Wanted {
		if s := e.byName[name]; s != nil {
			up = append(up, s)
		}
	}
	e.takeOver(l, up)
}
