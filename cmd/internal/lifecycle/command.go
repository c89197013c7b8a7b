package lifecycle

import (
	"context"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/spec"
)

// command runs argv as the service's own process would, with MAINPID, for at most
// limit, and has the owner call done. What it prints goes to the service's log.
func (s *Service) command(
	argv spec.Command, limit time.Duration, done func(error),
) *children.Command {
	l := s.NewLaunch()
	if s.spec.NotifyAccess != spec.NotifyMain {
		l.Notify = s.shared.Hearing.Address()
	}
	c := s.NewCommand(limit, done)
	mainPID := s.PID()
	birth := s.shared.Procs.Expect()
	birth.Do(func() func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		pid, err := l.StartCommand(ctx, argv, mainPID)
		return func() { s.commandStarted(birth, c, pid, err) }
	})
	return c
}

func (s *Service) commandStarted(birth *children.Birth, c *children.Command, pid int, err error) {
	if err != nil {
		s.seeStuck(err)
		birth.Failed(c, err)
		return
	}
	birth.Started(c, pid)
	s.shared.Hearing.Again()
}

// CommandEnded goes on with a service that may have waited for that.
func (s *Service) CommandEnded() { s.GoOnAlone() }
