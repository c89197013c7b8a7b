package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// errNoReload says that a service does not say how it is reloaded.
var errNoReload = errors.New("has neither a reload signal nor a reload command")

// reloadAnswer is how long a service has to answer with RELOADING=1, or to die of the signal. What
// does neither by then is taken to have heard it, and not to speak that part of sd_notify(3).
const reloadAnswer = 100 * time.Millisecond

// Reload has s read its configuration anew, by its command or a signal. Owner.Reloaded hears when
// that is over, and ended before that how the command has ended.
func (s *Service) Reload(ended func(error)) error {
	switch {
	case s.PID() == 0 || s.draining || s.state != Ready:
		return fmt.Errorf("not running (%v)", s.state)
	case len(s.spec.ReloadCommand) > 0:
		s.Tell(control.EventReload, "reload command")
		s.command(s.spec.ReloadCommand, time.Duration(*s.spec.StopTimeout), func(err error) {
			if err != nil {
				ended(fmt.Errorf("%s: reload command: %w", s.spec.Name, err))
				return
			}
			ended(nil)
			s.awaitReload()
		})
		return nil
	case s.spec.Reload == "":
		return errNoReload
	}
	return s.reloadBySignal()
}

func (s *Service) reloadBySignal() error {
	sig, err := s.spec.Reload.Number()
	if err != nil {
		return err
	}
	if s.shared.Kernel.Ignores(s.PID(), sig) {
		return fmt.Errorf("process %d ignores %s", s.PID(), signalName(sig))
	}
	if err := s.shared.Procs.Signal(&s.Unit, sig); err != nil {
		return fmt.Errorf("send %s to process %d: %w", signalName(sig), s.PID(), err)
	}
	s.Tell(control.EventReload, "%s", signalName(sig))
	s.awaitReload()
	return nil
}

// awaitReload waits for what a service that has been told to reload answers, unless it has answered
// already.
func (s *Service) awaitReload() {
	if s.state == Ready && !s.rewound {
		s.after(timerReady, reloadAnswer, func() { s.owner.Reloaded(nil) })
	}
}

// reloading is RELOADING=1. A service may say it without having been asked.
func (s *Service) reloading() {
	if s.state != Ready {
		return
	}
	s.rewound = true
	s.Tell(control.EventReload, "reloading")
	// It has answered; from here on it has the time of a start.
	if limit := *s.spec.Timeout; limit != spec.Forever {
		s.deadline(timerReady, time.Duration(limit), func() { s.reloadLate() })
	}
}

// reloaded is READY=1 after RELOADING=1.
func (s *Service) reloaded(_ cause) {
	if !s.rewound {
		return
	}
	s.stop(timerReady)
	s.rewound = false
	s.Tell(control.EventReload, "reloaded")
	s.owner.Reloaded(nil)
}

// reloadLate tells that a reload did not come to its end. The service goes on: it may well serve.
func (s *Service) reloadLate() {
	s.rewound = false
	err := fmt.Errorf("%s: reload: not ready again within %v", s.spec.Name, s.spec.Timeout)
	s.trouble("%v", err)
	s.owner.Reloaded(err)
}
