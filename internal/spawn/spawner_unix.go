//go:build unix

package spawn

import (
	"errors"

	"github.com/daemonry/daemonry/internal/sys"
)

// start starts d from the kept thread if that thread can be made what the target should
// inherit and still be that for the next one: a umask and a directory can be set again, a nice
// value that was raised can not be lowered.
func (sp *Spawner) start(d *description) (int, error) {
	if d.Nice != nil || d.Umask == nil || d.Dir == "" {
		return startFromThread(d)
	}
	d.shared = true
	j := birthJob{description: d, done: make(chan struct{})}
	select {
	case sp.jobs <- &j:
		<-j.done
		if errors.Is(j.err, errNeedsStage) {
			return startStage(d)
		}
		return j.pid, j.err
	case <-sp.ended:
		return 0, fail(StepStart, "", errors.New("the spawner is closed"))
	}
}

// run is the kept thread.
func (sp *Spawner) run() {
	apart := sys.UnshareFS() == nil
	for {
		select {
		case <-sp.ended:
			return
		case j := <-sp.jobs:
			if j.err = errNeedsStage; apart {
				j.pid, j.err = startHere(j.description)
			}
			close(j.done)
		}
	}
}
