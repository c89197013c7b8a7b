package spawn

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/daemonry/daemonry/internal/sys"
)

// Spawner is Start for those who start many processes: it keeps the thread from
// which it starts them, where Start makes a new one each time.
//
// On Linux it has another use. The children of a process are listed by the
// thread that made them (/proc/PID/task/TID/children), and orphans that a
// subreaper adopts are given to its first thread. What was not started by way of
// a thread of ours stands in the first thread's list alone.
type Spawner struct {
	jobs   chan *attempt
	held   atomic.Bool // the thread waits for a file system
	stages sync.Once   // starts the thread from which those are forked that have a DeathSignal
	forks  chan func()
	ended  chan struct{}
}

// NewSpawner returns a Spawner, to be closed with Close.
func NewSpawner() *Spawner {
	sp := &Spawner{jobs: make(chan *attempt), forks: make(chan func()), ended: make(chan struct{})}
	if threadsOwnFS {
		sys.OnThread(sp.run)
	}
	return sp
}

// Start does what the function Start does. It may be called from several goroutines.
func (sp *Spawner) Start(ctx context.Context, s *Spec) (pid int, err error) {
	if s.needsStage() && s.DeathSignal == 0 {
		return Start(ctx, s)
	}
	if err := s.check(); err != nil {
		return 0, fail(StepStart, "", err)
	}
	if s.Birth != nil {
		return 0, fail(StepStart, "", errors.New("a birth needs a watcher"))
	}
	d := s.describe()
	defer runtime.KeepAlive(s) // the files, whose numbers d has
	if s.DeathSignal != 0 {
		sp.stages.Do(func() { sys.OnThread(sp.runForks) })
		return startStageOn(ctx, &d, sp.keep)
	}
	return sp.start(ctx, &d)
}

// keep runs f on a thread that lives until Close, and is changed by nothing.
func (sp *Spawner) keep(f func()) {
	done := make(chan struct{})
	select {
	case sp.forks <- func() { defer close(done); f() }:
		<-done
	case <-sp.ended:
	}
}

// runForks is that thread.
func (sp *Spawner) runForks() {
	for {
		select {
		case f := <-sp.forks:
			f()
		case <-sp.ended:
			return
		}
	}
}

// Close ends the threads, and by that whatever was started with a DeathSignal. No Start may be
// under way.
func (sp *Spawner) Close() { close(sp.ended) }
