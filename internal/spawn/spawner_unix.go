//go:build unix

package spawn

import (
	"context"
	"errors"

	"github.com/daemonry/daemonry/internal/sys"
)

// start starts d from the kept thread if that thread can be made what the target should
// inherit and still be that for the next one: a umask and a directory can be set again, a nice
// value that was raised can not be lowered.
func (sp *Spawner) start(ctx context.Context, d *description) (int, error) {
	if d.Nice != nil || d.Umask == nil || d.Dir == "" {
		return startFromThread(ctx, d)
	}
	d.shared = true
	j := birthJob{description: d, done: make(chan struct{})}
	select {
	case sp.jobs <- &j:
		<-j.done
		if errors.Is(j.err, errNeedsStage) {
			return startStage(ctx, d)
		}
		return j.pid, j.err
	case <-sp.ended:
		return 0, fail(StepStart, "", errors.New("the spawner is closed"))
	}
}

// run is the kept thread.
func (sp *Spawner) run() {
	null, err := nullFile() // one for all
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
		case j := <-sp.jobs:
			if j.err = err; err == nil {
				j.pid, j.err = applyAndFork(j.description, null)
			}
			close(j.done)
		}
	}
}
