package lifecycle

import (
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/control"
)

// What the owner can have happen to a service.

// Start has it be up.
func (s *Service) Start() {
	s.Wanted = true
	s.happen(hWant, cause{})
}

// Stop ends it. It does not touch Wanted, which whoever calls it has taken back: only at the end of
// the supervisor it stays, for the next one.
func (s *Service) Stop(why string) { s.happen(hUnwant, cause{text: why}) }

// Restart ends it, if it has anything to end, and starts it anew.
func (s *Service) Restart(why string) {
	s.Wanted = true
	s.happen(hRestart, cause{text: why})
}

// StartBeside starts it as a replacement, beside the process that it is to replace.
func (s *Service) StartBeside() {
	s.Wanted = true
	s.happen(hBeside, cause{})
}

// DependenciesMet says that nothing is left to wait for before it starts.
func (s *Service) DependenciesMet() { s.happen(hDepsMet, cause{}) }

// StillWaits says what it waits for by now.
func (s *Service) StillWaits(why string) { s.reason = why }

// Fails notes why a process that is being ended is not used, unless that is known.
func (s *Service) Fails(why string) {
	if s.failure == "" {
		s.failure = why
	}
}

// Signal sends a signal to the main process. One that is just being started gets it as soon as it
// runs.
func (s *Service) Signal(sig syscall.Signal) error {
	switch {
	case s.Spawning() && s.state == Starting:
		s.signals = append(s.signals, sig) // it may run already, and its pid is about to be known
		return nil
	case s.PID() == 0 || s.draining:
		return fmt.Errorf("%s: not running", s.spec.Name)
	}
	if err := s.shared.Procs.Signal(&s.Unit, sig); err != nil {
		return fmt.Errorf("%s: send %s to process %d: %w",
			s.spec.Name, signalName(sig), s.PID(), err)
	}
	s.Tell(control.EventSignal, "%s", signalName(sig))
	return nil
}

// Succeed takes from the process before what belongs to the service rather than to a process. The
// description may have changed meanwhile in what a process need not notice. For everybody else
// nothing happens but that, perhaps, a service that was down is up.
func (s *Service) Succeed(before *Service) {
	s.spec, s.exit, s.restarts = before.spec, before.exit, before.restarts
	s.set(before.state)
	s.since = before.since
}

// PrintInto has it print into a log that is open; nil: into one that is opened at its start.
func (s *Service) PrintInto(stream *logs.Stream) { s.stream = stream }

// Quiet ends all waiting for the process that ran: the service is forgotten.
func (s *Service) Quiet() { s.quiet() }

// GoOnAlone goes on with a service whose other processes it has waited for, if that was all.
func (s *Service) GoOnAlone() {
	if s.isSwept() && !s.holding {
		s.isSweptClean()
	}
}
