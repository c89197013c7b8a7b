package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// A service on demand has its sockets open and no process until somebody connects. The connection
// is not accepted here: it waits in the socket for the process, which so finds it as if it had
// always been there.

// listen opens the sockets of s, in place of starting it. The result comes back as hListening or
// hSpawnError.
func (s *Service) listen() {
	s.enter(Starting, "")
	s.text, s.failure = "", ""
	s.shared.Procs.Renounce(&s.Unit)
	s.run++
	s.opening, s.completed = true, false
	s.owner.HoldSockets()
	open := s.shared.Handover.Opener(s)
	s.shared.Loop.Work(func() func() {
		err := open()
		return func() {
			s.opening = false
			if err != nil {
				s.happen(hSpawnError, cause{err: err, text: "sockets cannot be opened"})
				return
			}
			s.happen(hListening, cause{text: "sockets are open"})
		}
	})
}

// listenAnew opens the sockets again that an earlier supervisor has had open.
func (s *Service) listenAnew(_ cause) { s.wait() }

// demandOver starts a service that was on demand and is not any more.
func (s *Service) demandOver(_ cause) {
	if !s.spec.OnDemand {
		s.wait()
	}
}

// listening waits for a connection.
func (s *Service) listening(_ cause) {
	s.enter(Listening, "")
	if err := s.shared.Handover.Await(s, func(at spec.Address) {
		s.happen(hConnection, cause{text: "connection to " + at.String()})
	}); err != nil {
		s.fail(err.Error())
	}
}

// connected starts a service because somebody has connected.
func (s *Service) connected(why cause) {
	s.called = true
	s.Tell(control.EventState, "%s", why.text)
	s.wait()
}

// listenAgain is what follows a good end of a service on demand. If somebody waits in its sockets
// whom it has not accepted, it would be started at once and may do the same again: that is reckoned
// as a crash is.
func (s *Service) listenAgain() {
	idle := s.idle
	s.idle = false
	if !idle {
		waiting, err := s.shared.Handover.Called(s)
		if err == nil && waiting {
			s.retry(s.exit.Text + ", and somebody waits to be accepted")
			return
		}
	}
	s.wait()
}

// Pauses between two looks at whether anybody is connected: a tenth of idle_stop, within these.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 30 * time.Second
)

// watchIdle begins to look whether anybody is connected to a service that is to stop when nobody
// is.
func (s *Service) watchIdle() {
	s.stop(timerIdle)
	if limit := time.Duration(s.spec.IdleStop); s.spec.OnDemand && limit > 0 && s.state == Ready &&
		s.PID() != 0 {
		s.lonely = time.Time{}
		s.nextLook()
	}
}

func (s *Service) nextLook() {
	pause := min(max(time.Duration(s.spec.IdleStop)/10, shortestLook), longestLook)
	s.after(timerIdle, pause, func() { s.lookIdle() })
}

// lookIdle looks away from the owner: the kernel's tables may be long.
func (s *Service) lookIdle() {
	run := s.run
	list, fds := s.shared.Handover.Sockets(s)
	s.shared.Loop.Work(func() func() {
		n, err := s.shared.Kernel.Connections(list, fds)
		return func() {
			if s.run == run && s.state == Ready {
				s.looked(n, err)
			}
		}
	})
}

func (s *Service) looked(n int, err error) {
	limit := time.Duration(s.spec.IdleStop)
	switch {
	case limit <= 0 || !s.spec.OnDemand: // changed meanwhile
	case errors.Is(err, errors.ErrUnsupported):
		s.trouble(
			"idle_stop: it is not known whether anybody is connected, so it is not stopped: %v",
			err,
		)
	case err != nil || n > 0 || s.rewound: // what cannot be seen is not idle
		s.lonely = time.Time{}
		s.nextLook()
	case s.lonely.IsZero():
		// From now on and not from the last look that saw somebody: who that was may have left a
		// moment ago, and where the machine is busy looks come late.
		s.lonely = time.Now()
		s.nextLook()
	case time.Since(s.lonely) < limit:
		s.nextLook()
	default:
		s.happen(hIdle, cause{text: fmt.Sprintf("idle: no connection for %v", s.spec.IdleStop)})
	}
}

// stopIdle ends a service that nobody is connected to. Who connects meanwhile waits for the next
// start.
func (s *Service) stopIdle(why cause) {
	s.idle = true
	s.beginStop(why.text)
}
