package supervise

import (
	"errors"
	"os"
	"syscall"
)

// reapAll takes in every dead child: main processes, helper commands, and the orphans that
// were made ours. The pid of a child that has not been reaped cannot be given to
// another process, and only this function reaps: so a pid in byPID, commands or orphans is always safe to signal.
func (e *Engine) reapAll() {
	for {
		pid, status, err := e.kernel.reap()
		switch {
		case errors.Is(err, syscall.ECHILD) || err == nil && pid == 0:
			return
		case err != nil:
			e.o.Trouble(err)
			return
		}
		e.died(pid, status)
	}
}

// died finds out whose process that was.
func (e *Engine) died(pid int, status exitStatus) {
	if s := e.byPID[pid]; s != nil {
		delete(e.byPID, pid)
		e.mainDied(s, status)
		return
	}
	if c := e.commands[pid]; c != nil {
		delete(e.commands, pid)
		c.died(status)
		return
	}
	if _, ok := e.orphans[pid]; ok {
		e.orphanDied(pid)
		return
	}
	if e.starting > 0 {
		e.early[pid] = status // perhaps of a start that has not told its pid yet
	}
}

// mainDied makes sure that the last output is on disk before anybody hears of the death.
func (e *Engine) mainDied(s *service, status exitStatus) {
	if s.nextMain != 0 {
		if err := e.adopt(); err != nil {
			e.o.Trouble(err)
		}
		if e.orphans[s.nextMain] == s {
			e.takeMain(s)
			return
		}
	}
	s.draining = true
	finish := func() {
		s.draining = false
		e.happen(s, hExited, cause{exit: &status, text: "exited"})
	}
	stream := s.stream
	if stream == nil {
		finish()
		return
	}
	e.work(func() {
		err := stream.Drain()
		e.post(func() {
			if err != nil {
				e.emit(s, Event{Kind: EventLog, Reason: err.Error()})
			}
			finish()
		})
	})
}

// adopt looks for children of ours that we did not start: descendants of services
// whose parents have ended. It costs one look at a list that the kernel keeps, not one at every process.
func (e *Engine) adopt() error {
	children, err := e.kernel.children()
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	}
	for _, pid := range children {
		if e.byPID[pid] != nil || e.commands[pid] != nil {
			continue
		}
		if _, known := e.orphans[pid]; known {
			continue
		}
		s, certain := e.attribute(pid)
		if s == nil && (!certain || e.starting > 0) {
			continue // perhaps one that is just being started: asked again next time
		}
		e.orphans[pid] = s
		if s != nil {
			s.orphans++
		}
	}
	return nil
}

// attribute says which service an adopted process belongs to: by its session,
// which the service's main process leads or led, or by the invocation id in the environment
// it was started with. certain is false if it could not be looked at.
func (e *Engine) attribute(pid int) (s *service, certain bool) {
	stat, err := e.kernel.stat(pid)
	if err != nil {
		return nil, false
	}
	for _, s := range e.services {
		if s.leads(stat.Session) {
			return s, true
		}
	}
	id, err := e.kernel.invocation(pid)
	if err != nil {
		return nil, errors.Is(err, os.ErrPermission)
	}
	for _, s := range e.services {
		if id != "" && s.invoked == id {
			return s, true
		}
	}
	return nil, true
}

// leads says whether session is that of the service's last main process.
func (s *service) leads(session int) bool {
	return s.session != 0 && s.session == session && s.state != Stopped
}
