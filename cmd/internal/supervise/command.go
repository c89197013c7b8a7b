package supervise

import (
	"context"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/spec"
)

// run runs argv as the service's own process would, with MAINPID, for at most
// limit, and has the owner call done. What it prints goes to the service's log.
func (e *Engine) run(s *service, argv spec.Command, limit time.Duration, done func(error)) *children.Command {
	l := e.newLaunch(s)
	if s.spec.NotifyAccess != spec.NotifyMain {
		l.Notify = e.hearing.Address()
	}
	c := s.NewCommand(limit, done)
	mainPID := s.PID()
	birth := e.procs.Expect()
	birth.Do(func() func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		pid, err := l.StartCommand(ctx, argv, mainPID)
		return func() { e.commandStarted(s, birth, c, pid, err) }
	})
	return c
}

func (e *Engine) commandStarted(s *service, birth *children.Birth, c *children.Command, pid int, err error) {
	if err != nil {
		e.seeStuck(s, err)
		birth.Failed(c, err)
		return
	}
	birth.Started(c, pid)
	e.hearing.Again()
}

// CommandEnded goes on with a service that may have waited for that.
func (s *service) CommandEnded() {
	if s.isSwept() && !s.holding {
		s.engine.isSweptClean(s)
	}
}
