package supervise

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// pipeline is a service as many are: its shell dies of the stop signal at once, and the program
// before the pipe needs a second.
func (s scene) pipeline() spec.Service {
	script := `(trap 'sleep 1; echo saved >>` + s.path("saved") +
		`; exit' TERM; echo up >&2; while :; do sleep 0.02; done) | cat`
	return sh("a", script, func(c *spec.Service) {
		c.Ready = spec.Probe{Kind: spec.ProbeLog, Target: "^up$"}
	})
}

func (s scene) saved(times int) error {
	b, err := os.ReadFile(s.path("saved"))
	return errors.Join(err, want("saved", strings.Count(string(b), "saved\n"), times))
}

func stopPipeline(s scene) error {
	err := errors.Join(s.apply(s.pipeline()), s.Stop(s, "a"), s.saved(1))
	return errors.Join(err, s.Start(s, "a"), s.Restart(s, "a"), s.saved(2),
		s.Remove(s, "a"), s.saved(3))
}

func crashPipeline(s scene) error {
	err := s.apply(s.pipeline())
	before := s.one("a").PID
	err = errors.Join(err, sys.Kill(before, syscall.SIGKILL),
		s.until("a", func(st control.Status) bool { return st.PID != 0 && st.PID != before }))
	return errors.Join(err, s.saved(1))
}

// impatient has deaf ones end soon.
func impatient(c *spec.Service) { c.StopTimeout = new(spec.Duration(300 * time.Millisecond)) }
