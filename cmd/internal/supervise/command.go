package supervise

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// command is a helper command of a service: to stop it, to reload it, to see whether it is ready or
// alive. It is started and reaped like a service, because a package that waits for its own children
// (os/exec) would find them reaped by us.
type command struct {
	service  *service
	pid      int // 0 until it is started
	limit    time.Duration
	timer    *time.Timer
	ended    error // why we killed it; nil if we did not
	finishes bool  // it may come to its end when the service has come to its
	done     func(error)
}

// run runs argv as the service's own process would, with MAINPID, for at most
// limit, and has the owner call done. What it prints goes to the service's log.
func (e *Engine) run(s *service, argv spec.Command, limit time.Duration, done func(error)) *command {
	b := e.newBirth(s)
	if e.notify != nil && s.spec.NotifyAccess != spec.NotifyMain {
		b.notify = e.notify.Address
	}
	c := &command{service: s, limit: limit, done: done}
	if s.commands == nil {
		s.commands = map[*command]struct{}{}
	}
	s.commands[c] = struct{}{}
	mainPID := s.pid
	e.births.underWay++
	e.bear(func() func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		pid, err := b.startCommand(ctx, argv, mainPID)
		return func() { e.commandStarted(c, pid, err) }
	})
	return c
}

var (
	errCommandLate = errors.New("took too long")
	errCommandMoot = errors.New("ended with the service")
)

func (e *Engine) commandStarted(c *command, pid int, err error) {
	e.claim(pid)
	if err != nil {
		e.seeStuck(c.service, err)
		e.commandOver(c, err)
		return
	}
	c.pid = pid
	e.commands[pid] = c
	e.hearAgain()
	if c.ended != nil {
		e.killCommand(c)
		return
	}
	c.timer = time.AfterFunc(c.limit, func() {
		e.post(func() {
			if e.commands[pid] == c {
				c.ended = errCommandLate
				e.killCommand(c)
			}
		})
	})
}

// killCommand ends a command, now or as soon as it is started. It leads a session and group of its
// own, and is our child and not reaped: the numbers are its own.
func (e *Engine) killCommand(c *command) {
	if c.ended == nil {
		c.ended = errCommandMoot
	}
	if c.pid != 0 {
		_ = e.signalGroup(c.pid, syscall.SIGKILL) // an error can only mean that it is
		_ = e.signalOwn(c.pid, syscall.SIGKILL)   // dead already and about to be reaped
	}
}

func (e *Engine) commandDied(c *command, x exitStatus) {
	delete(e.commands, c.pid)
	if c.timer != nil {
		c.timer.Stop()
	}
	switch exit := spawn.ExitOf(x.status); {
	case c.ended != nil:
		e.commandOver(c, c.ended)
	case exit.Signal != 0 || exit.Code != 0:
		e.commandOver(c, errors.New(exit.String()))
	default:
		e.commandOver(c, nil)
	}
}

// commandOver tells how a command ended, and goes on with its service if that has waited for it.
func (e *Engine) commandOver(c *command, err error) {
	s := c.service
	delete(s.commands, c)
	c.done(err)
	if s.isSwept() && !s.holding {
		e.isSweptClean(s)
	}
}
