//go:build unix

package spawn

import (
	"errors"
	"os"
	"runtime"

	"github.com/daemonry/daemonry/internal/sys"
)

// start starts d from the kept thread if that thread can be made what the target should
// inherit and still be that for the next one: a umask and a directory can be set again, a nice
// value that was raised can not be lowered.
func (sp *Spawner) start(d *description) (int, error) {
	if d.Nice != nil || d.Umask == nil || d.Dir == "" {
		return startFromThread(d)
	}
	j := birthJob{description: d, done: make(chan struct{})}
	select {
	case sp.jobs <- &j:
		<-j.done
		return j.pid, j.err
	case <-sp.ended:
		return 0, fail(StepStart, "", errors.New("the spawner is closed"))
	}
}

// run is the kept thread, which ends with this goroutine because that never unlocks it.
func (sp *Spawner) run() {
	runtime.LockOSThread()
	null, err := nullFile()
	if err == nil {
		defer null.Close()
		err = sys.UnshareFS()
	}
	for {
		select {
		case <-sp.ended:
			return
		case j := <-sp.jobs:
			if j.pid, j.err = 0, fail(StepDescriptors, os.DevNull, err); err == nil {
				j.pid, j.err = applyAndForkOn(null, j.description)
			}
			close(j.done)
		}
	}
}

func applyAndForkOn(null *os.File, d *description) (int, error) {
	if err := d.apply(); err != nil {
		return 0, err
	}
	return d.fork(null.Fd())
}
