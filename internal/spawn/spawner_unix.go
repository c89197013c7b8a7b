//go:build unix && !aix

package spawn

import (
	"context"
	"errors"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// start starts d from the kept thread if that thread can be made what the target should
// inherit and still be that for the next one: a umask and a directory can be set again, a nice
// value that was raised can not be lowered.
//
// There is one such thread. While it waits for a file system, which only one of this machine can
// make it do (far), all others are started by way of stages.
func (sp *Spawner) start(ctx context.Context, d *description) (int, error) {
	if d.Nice != nil || d.Umask == nil || d.Dir == "" {
		return startFromThread(ctx, d)
	}
	far, err := d.far(ctx)
	if err != nil {
		return 0, err
	}
	if far || sp.held.Load() {
		return startStage(ctx, d)
	}
	a := newAttempt(d)
	busy := time.NewTimer(threadPatience)
	defer busy.Stop()
	select {
	case sp.jobs <- a:
	case <-busy.C:
		return startStage(ctx, d)
	case <-sp.ended:
		return 0, fail(StepStart, "", errors.New("the spawner is closed"))
	}
	pid, err := a.outcome(ctx, func() { sp.hold(a) })
	if errors.Is(err, errNeedsStage) {
		return startStage(ctx, d)
	}
	return pid, err
}

// hold says that the kept thread is held up by a, until it is not.
func (sp *Spawner) hold(a *attempt) {
	sp.held.Store(true)
	go func() {
		<-a.done
		sp.held.Store(false)
	}()
}

// run is the kept thread.
func (sp *Spawner) run() {
	null, err := sys.OpenNull() // one for all
	if err == nil {
		defer null.Close()
	}
	if err != nil || sys.UnshareFS() != nil {
		err = errNeedsStage
	}
	for {
		select {
		case <-sp.ended:
			return
		case a := <-sp.jobs:
			a.run(func(d *description) (int, error) {
				if err != nil {
					return 0, err
				}
				return applyAndFork(d, null)
			})
		}
	}
}
