package supervise

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/procopt"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// command is a helper command of a service: to stop it, to reload it, to see whether it is ready or alive. It is
// started and reaped like a service, because a package that waits for its own
// children (os/exec) would find them reaped by us.
type command struct {
	pid   int
	timer *time.Timer
	late  bool
	done  func(error)
}

func (c *command) died(x exitStatus) {
	if c.timer != nil {
		c.timer.Stop()
	}
	switch e := spawn.ExitOf(x.status); {
	case c.late:
		c.done(errors.New("took too long"))
	case e.Signal != 0 || e.Code != 0:
		c.done(errors.New(e.String()))
	default:
		c.done(nil)
	}
}

// run runs argv as the service's own process would, with MAINPID, for at most
// limit, and has the owner call done. What it prints goes to the service's log.
func (e *Engine) run(s *service, argv spec.Command, limit time.Duration, done func(error)) {
	b := birth{spec: s.spec, environ: e.o.Environ, stream: s.stream, invoked: s.invoked}
	if e.notify != nil && s.spec.NotifyAccess != spec.NotifyMain {
		b.notify = e.notify.Address
	}
	mainPID := s.pid
	e.starting++
	e.work(func() {
		pid, err := b.startCommand(e.kernel, argv, mainPID)
		e.post(func() { e.commandStarted(pid, err, limit, done) })
	})
}

func (e *Engine) commandStarted(pid int, err error, limit time.Duration, done func(error)) {
	e.starting--
	early, dead := e.early[pid]
	if e.starting == 0 {
		clear(e.early)
	}
	if err != nil {
		done(err)
		return
	}
	c := &command{pid: pid, done: done}
	if dead {
		c.died(early)
		return
	}
	e.commands[pid] = c
	c.timer = time.AfterFunc(limit, func() {
		e.post(func() {
			if e.commands[pid] == c {
				c.late = true
				// It leads a session and group of its own; both errors mean that it is gone.
				_ = e.kernel.kill(-pid, syscall.SIGKILL)
				_ = e.kernel.kill(pid, syscall.SIGKILL)
			}
		})
	})
}

// startCommand starts a helper command and returns its pid.
func (b *birth) startCommand(k kernel, argv spec.Command, mainPID int) (int, error) {
	var sp spawn.Spec
	if err := procopt.Fill(&sp, b.spec.Process, b.environ); err != nil {
		return 0, err
	}
	path, err := procopt.Program(argv, sp.Env, b.spec.Chroot, b.spec.Chdir)
	if err != nil {
		return 0, err
	}
	sp.Path, sp.Args, sp.Session = path, argv, true
	sp.Env = append(sp.Env, b.variables()...)
	if mainPID != 0 {
		sp.Env = append(sp.Env, "MAINPID="+strconv.Itoa(mainPID))
	}
	if b.stream != nil {
		end, err := b.stream.ServiceEnd()
		if err != nil {
			return 0, fmt.Errorf("log: %w", err)
		}
		defer end.Close()
		for fd := 1; fd <= 2; fd++ {
			sp.Files = append(sp.Files, spawn.File{FD: fd, Source: end})
		}
	}
	return k.start(&sp)
}

// runAndWait is run for those who are not the owner.
func (e *Engine) runAndWait(ctx context.Context, s *service, argv spec.Command, limit time.Duration) error {
	result := make(chan error, 1)
	e.post(func() { e.run(s, argv, limit, func(err error) { result <- err }) })
	select {
	case err := <-result:
		return err
	case <-e.ended:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
