package supervised

import (
	"errors"
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// TestWatchAgainWithALostEnvironment: what a process was started with may be lost, and it is up for
// all that, if it only had to be executed.
func TestWatchAgainWithALostEnvironment(t *testing.T) {
	lost := errors.New("lost")
	for kind, want := range map[spec.ProbeKind]error{spec.ProbeExec: nil, spec.ProbeSettle: lost} {
		s := spec.Service{
			Name:    "s",
			Command: spec.Command{"/bin/true"},
			Ready:   spec.Probe{Kind: kind},
		}
		l := Launch{Spec: s.WithDefaults(), EnvironErr: lost}
		if _, err := l.WatchAgain(t.Context(), time.Now()); !errors.Is(err, want) {
			t.Errorf("%v: %v", kind, err)
		}
	}
}
