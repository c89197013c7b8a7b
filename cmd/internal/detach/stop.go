package detach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/proctree"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

// StopOptions say how to stop a daemon. The zero value sends SIGTERM to it,
// waits 10 s, and kills what is left of it and of its descendants.
type StopOptions struct {
	Schedule spec.StopSchedule
	// Timeout is the wait after a signal of Schedule that names none. Default 10 s.
	Timeout spec.Duration
	// Progress is told what happens as it happens; nil: nobody.
	Progress func(proctree.Event)
}

// Stop ends the daemon of a pid file and everything that belongs to it (see proctree), and removes
// the pid file if the daemon has left it. The error wraps pidfile.ErrNotRunning when no process
// provably is that daemon; nothing is signalled then.
func Stop(ctx context.Context, path string, o StopOptions) (proctree.Result, error) {
	p, err := pin(path)
	if err != nil {
		return proctree.Result{}, err
	}
	defer p.Close()
	steps, err := o.steps()
	if err != nil {
		return proctree.Result{}, err
	}
	result, err := proctree.Stop(ctx, p, proctree.StopOptions{Steps: steps, Progress: o.Progress})
	if err != nil {
		return result, err
	}
	return result, removeStale(path)
}

// pin holds the daemon that the pid file provably belongs to.
func pin(path string) (*sys.Process, error) {
	i, err := pidfile.Find(path)
	if err != nil {
		return nil, err
	}
	defer i.Close()
	if i.State != pidfile.Running {
		if i.Why != nil {
			return nil, fmt.Errorf("pid file %s: %w: %w", path, i.Why, pidfile.ErrNotRunning)
		}
		return nil, fmt.Errorf("pid file %s: %v: %w", path, i.State, pidfile.ErrNotRunning)
	}
	p, err := sys.Pin(i.PID)
	if err != nil {
		return nil, err
	}
	// The pid was the daemon's when p was pinned, if the daemon, which i holds, is there still.
	if err := i.Signal(0); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (o StopOptions) steps() ([]proctree.SignalStep, error) {
	schedule := o.Schedule
	if len(schedule) == 0 {
		schedule = spec.StopSchedule{{Signal: spec.DefaultStopSignal}}
	}
	var steps []proctree.SignalStep
	for _, s := range schedule {
		sig, err := s.Signal.Number()
		if err != nil {
			return nil, err
		}
		wait := cmp.Or(s.Wait, o.Timeout, spec.DefaultStopTimeout)
		steps = append(steps, proctree.SignalStep{Signal: sig, Wait: time.Duration(wait)})
	}
	return steps, nil
}

// removeStale removes the pid file of a daemon that is gone. One that has been
// taken over by the next start meanwhile is not ours to remove.
func removeStale(path string) error {
	err := pidfile.RemoveDead(path)
	if errors.As(err, new(*pidfile.RunningError)) || errors.Is(err, pidfile.ErrLocked) {
		return nil
	}
	return err
}
