package supervise

import (
	"errors"
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
		e.commandDied(c, status)
		return
	}
	if e.births.underWay > 0 {
		e.births.early[pid] = status // perhaps of a start that has not told its pid yet
	}
	if _, ok := e.orphans[pid]; ok {
		e.orphanDied(pid)
	}
}

// mainDied makes sure that the last output is on disk before anybody hears of the death.
func (e *Engine) mainDied(s *service, status exitStatus) {
	if s.nextMain != 0 && e.lookForLeftovers(s) && e.orphans[s.nextMain] == s {
		e.takeMain(s)
		return
	}
	s.draining = true
	stream := s.stream
	if stream == nil {
		e.drained(s, status, nil, nil)
		return
	}
	e.work(func() func() {
		err := stream.Drain()
		words, tailErr := stream.Tail(lastWords)
		if err == nil {
			err = tailErr
		}
		return func() { e.drained(s, status, words, err) }
	})
}

// lastWords is how many of the last lines an exit tells.
const lastWords = 10

func (e *Engine) drained(s *service, status exitStatus, words []string, err error) {
	if err != nil {
		e.emit(s, Event{Kind: EventLog, Reason: err.Error()})
	}
	s.draining = false
	x := status.exit()
	x.Words = words
	e.happen(s, hExited, cause{exit: x, text: "exited"})
}
