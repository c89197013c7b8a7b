package spawn

import (
	"errors"
	"runtime"
)

// Spawner is Start for those who start many processes: it keeps the thread from
// which it starts them, where Start makes a new one each time.
//
// On Linux it has another use. The children of a process are listed by the
// thread that made them (/proc/PID/task/TID/children), and orphans that a
// subreaper adopts are given to its first thread. What was not started by way of
// a thread of ours stands in the first thread's list alone.
type Spawner struct {
	jobs  chan *birthJob
	ended chan struct{}
}

type birthJob struct {
	description *description
	pid         int
	err         error
	done        chan struct{}
}

// NewSpawner returns a Spawner, to be closed with Close.
func NewSpawner() *Spawner {
	sp := &Spawner{jobs: make(chan *birthJob), ended: make(chan struct{})}
	if threadsOwnFS {
		go sp.run()
	}
	return sp
}

// Start does what the function Start does. It may be called from several goroutines.
func (sp *Spawner) Start(s *Spec) (pid int, err error) {
	if s.needsStage() {
		return Start(s)
	}
	if err := s.check(); err != nil {
		return 0, fail(StepStart, "", err)
	}
	if s.Birth != nil {
		return 0, fail(StepStart, "", errors.New("a birth needs a watcher"))
	}
	d := s.describe()
	defer runtime.KeepAlive(s) // the files, whose numbers d has
	return sp.start(&d)
}

// Close ends the thread. No Start may be under way.
func (sp *Spawner) Close() { close(sp.ended) }
