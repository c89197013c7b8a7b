package children

import (
	"errors"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/spawn"
)

// Command is a helper command of a service: to stop it, to reload it, to see whether it is ready or
// alive. It is reaped like a main process, because a package that waits for its own children
// (os/exec) would find them reaped by us.
type Command struct {
	// Finishes says that it may come to its end when the service has come to its.
	Finishes bool

	unit  *Unit
	pid   int // 0 until it is started
	limit time.Duration
	timer *time.Timer
	ended error // why we killed it; nil if we did not
	done  func(error)
}

var (
	errCommandLate = errors.New("took too long")
	errCommandMoot = errors.New("ended with the service")
)

// NewCommand is a command of u that is about to be started (Birth.Started, Birth.Failed). It may
// take as long as limit. Then done is told how it ended, nil for well.
func (u *Unit) NewCommand(limit time.Duration, done func(error)) *Command {
	c := &Command{unit: u, limit: limit, done: done}
	if u.commands == nil {
		u.commands = map[*Command]struct{}{}
	}
	u.commands[c] = struct{}{}
	return c
}

// EndCommands kills the helper commands of u; with all also those that may come to their end.
func (t *Table) EndCommands(u *Unit, all bool) {
	for c := range u.commands {
		if all || !c.Finishes {
			t.EndCommand(c)
		}
	}
}

// EndCommand kills a command, now or as soon as it is started. It leads a session and group of its
// own, and is our child and not reaped: the numbers are its own.
func (t *Table) EndCommand(c *Command) {
	if c.ended == nil {
		c.ended = errCommandMoot
	}
	if c.pid != 0 {
		_ = t.signalGroup(c.pid, syscall.SIGKILL) // an error can only mean that it is
		_ = t.signal(c.pid, syscall.SIGKILL)      // dead already and about to be reaped
	}
}

func (t *Table) commandDied(c *Command, x Exit) {
	delete(t.commands, c.pid)
	if c.timer != nil {
		c.timer.Stop()
	}
	switch exit := spawn.ExitOf(x.Status); {
	case c.ended != nil:
		c.over(c.ended)
	case exit.Signal != 0 || exit.Code != 0:
		c.over(errors.New(exit.String()))
	default:
		c.over(nil)
	}
}

// over tells how a command ended, and its service, which may have waited for it.
func (c *Command) over(err error) {
	delete(c.unit.commands, c)
	c.done(err)
	c.unit.Service.CommandEnded()
}

// Program is a child of ours that is no process of any service.
type Program struct {
	PID    int
	Exited chan struct{} // closed when it has been reaped
}

// Programs are those that run.
func (t *Table) Programs() (list []*Program) {
	for _, p := range t.programs {
		list = append(list, p)
	}
	return list
}

// EndProgram kills a program, with its process group.
func (t *Table) EndProgram(p *Program) error { return t.signalGroup(p.PID, syscall.SIGKILL) }
