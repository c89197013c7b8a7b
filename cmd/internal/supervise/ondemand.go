package supervise

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
func (e *Engine) listen(s *service) {
	e.enter(s, Starting, "")
	s.text, s.failure = "", ""
	e.procs.Renounce(&s.Unit)
	s.run++
	s.opening, s.completed = true, false
	e.holdSockets(s)
	open := e.handover.Opener(s)
	e.work(func() func() {
		err := open()
		return func() {
			s.opening = false
			if err != nil {
				e.happen(s, hSpawnError, cause{err: err, text: "sockets cannot be opened"})
				return
			}
			e.happen(s, hListening, cause{text: "sockets are open"})
		}
	})
}

// listenAnew opens the sockets again that an earlier supervisor has had open.
func (e *Engine) listenAnew(s *service, _ cause) { e.wait(s) }

// demandOver starts a service that was on demand and is not any more.
func (e *Engine) demandOver(s *service, _ cause) {
	if !s.spec.OnDemand {
		e.wait(s)
	}
}

// listening waits for a connection.
func (e *Engine) listening(s *service, _ cause) {
	e.enter(s, Listening, "")
	if err := e.handover.Await(s, func(at spec.Address) {
		e.happen(s, hConnection, cause{text: "connection to " + at.String()})
	}); err != nil {
		e.fail(s, err.Error())
	}
}

// connected starts a service because somebody has connected.
func (e *Engine) connected(s *service, why cause) {
	s.called = true
	e.tell(s, control.EventState, "%s", why.text)
	e.wait(s)
}

// listenAgain is what follows a good end of a service on demand. If somebody waits in its sockets
// whom it has not accepted, it would be started at once and may do the same again: that is reckoned
// as a crash is.
func (e *Engine) listenAgain(s *service) {
	idle := s.idle
	s.idle = false
	if !idle {
		waiting, err := e.handover.Called(s)
		if err == nil && waiting {
			e.retry(s, s.exit.Text+", and somebody waits to be accepted")
			return
		}
	}
	e.wait(s)
}

// Pauses between two looks at whether anybody is connected: a tenth of idle_stop, within these.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 30 * time.Second
)

// watchIdle begins to look whether anybody is connected to a service that is to stop when nobody
// is.
func (e *Engine) watchIdle(s *service) {
	s.stop(timerIdle)
	if limit := time.Duration(s.spec.IdleStop); s.spec.OnDemand && limit > 0 && s.state == Ready && s.PID() != 0 {
		s.lonely = time.Time{}
		e.nextLook(s)
	}
}

func (e *Engine) nextLook(s *service) {
	pause := min(max(time.Duration(s.spec.IdleStop)/10, shortestLook), longestLook)
	e.after(s, timerIdle, pause, func() { e.lookIdle(s) })
}

// lookIdle looks away from the owner: the kernel's tables may be long.
func (e *Engine) lookIdle(s *service) {
	run := s.run
	list, fds := e.handover.Sockets(s)
	e.work(func() func() {
		n, err := e.kernel.connections(list, fds)
		return func() {
			if s.run == run && s.state == Ready {
				e.looked(s, n, err)
			}
		}
	})
}

func (e *Engine) looked(s *service, n int, err error) {
	limit := time.Duration(s.spec.IdleStop)
	switch {
	case limit <= 0 || !s.spec.OnDemand: // changed meanwhile
	case errors.Is(err, errors.ErrUnsupported):
		e.trouble(s, "idle_stop: it is not known whether anybody is connected, so it is not stopped: %v", err)
	case err != nil || n > 0 || s.rewound: // what cannot be seen is not idle
		s.lonely = time.Time{}
		e.nextLook(s)
	case s.lonely.IsZero():
		// From now on and not from the last look that saw somebody: who that was may have left a
		// moment ago, and where the machine is busy looks come late.
		s.lonely = time.Now()
		e.nextLook(s)
	case time.Since(s.lonely) < limit:
		e.nextLook(s)
	default:
		e.happen(s, hIdle, cause{text: fmt.Sprintf("idle: no connection for %v", s.spec.IdleStop)})
	}
}

// stopIdle ends a service that nobody is connected to. Who connects meanwhile waits for the next
// start.
func (e *Engine) stopIdle(s *service, why cause) {
	s.idle = true
	e.beginStop(s, why.text)
}
