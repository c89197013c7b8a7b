package supervise

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// mailbox carries functions to the owner in the order in which they were put in. It never
// fills, so that nobody, the owner least of all, waits when putting something in.
// What could flood it, requests and messages of services, waits for its own answer (ask).
type mailbox struct {
	mu   sync.Mutex
	list []func()
	wake chan struct{} // holds a token when list is not empty
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (m *mailbox) put(f func()) {
	m.mu.Lock()
	m.list = append(m.list, f)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	return list
}

// post has f run by the owner, after what it is doing now. When the engine has ended, f is dropped.
func (e *Engine) post(f func()) { e.mail.put(f) }

// ask has f run by the owner and returns when that is done. If it returns an error, f was not run
// and never will be.
func (e *Engine) ask(ctx context.Context, f func()) error { return e.askAnd(ctx, func() {}, f) }

// askAnd is ask that calls posted when f is in the mailbox.
func (e *Engine) askAnd(ctx context.Context, posted, f func()) error {
	done := make(chan struct{})
	var claimed atomic.Bool // by the owner or by the end of ctx
	e.post(func() {
		if claimed.CompareAndSwap(false, true) {
			f()
			close(done)
		}
	})
	posted()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		if claimed.CompareAndSwap(false, true) {
			return context.Cause(ctx)
		}
		<-done // it is being run at this moment
		return nil
	case <-e.ended:
		select {
		case <-done:
			return nil
		default:
			return ErrClosed
		}
	}
}

// jobs are what is done away from the owner, a few at a time. Only the owner touches them.
//
// Births have places of their own. What takes longer than a job that waits for nobody has no place
// any more, so that others are not held up by it: a birth opens what its service names, and a log
// is written, on file systems that may not answer.
type jobs struct {
	most    int // places for births, and as many for others
	running int // all that are under way
	births  int // places that births have
	others  int // places that others have
	queue   []job
}

// job is work away from the owner. begin is called by the owner when the work begins; what do
// returns, when it is done.
type job struct {
	begin func()
	do    func() func()
	birth bool // a process comes into being by it
}

// slowJob is how long a job has its place at most.
const slowJob = 250 * time.Millisecond

// next takes the job that is to be done next out of the queue, if there is one that has a place.
func (j *jobs) next(births bool) (next job, ok bool) {
	births = births && j.births < j.most
	others := j.others < j.most
	if !births && !others {
		return job{}, false
	}
	at := slices.IndexFunc(j.queue, func(one job) bool { return one.birth && births || !one.birth && others })
	if at < 0 {
		return job{}, false
	}
	next = j.queue[at]
	if at == 0 {
		j.queue[0] = job{}
		j.queue = j.queue[1:]
	} else {
		j.queue = slices.Delete(j.queue, at, at+1)
	}
	return next, true
}

// work runs f outside of the owner, as soon as there is a place, and what it returns by the owner.
// It is for what takes milliseconds of work, not for what waits.
func (e *Engine) work(f func() func()) { e.queue(job{begin: func() {}, do: f}) }

func (e *Engine) queue(j job) {
	e.jobs.queue = append(e.jobs.queue, j)
	e.nextJob()
}

// nextJob begins what there are places for. Before a standstill no process is born any more, but
// the rest is done: a dead process, say, has been reaped already, and until its last output is on
// disk only this program knows how it ended.
func (e *Engine) nextJob() {
	for {
		j, ok := e.jobs.next(e.still.f == nil)
		if !ok {
			return
		}
		e.jobs.running++
		leave := e.jobs.enter(j.birth)
		j.begin()
		slow := time.AfterFunc(slowJob, func() { e.post(func() { leave(); e.nextJob() }) })
		go func() {
			then := j.do()
			slow.Stop()
			e.post(func() {
				e.jobs.running--
				leave()
				e.nextJob()
				then()
			})
		}()
	}
}

// enter takes a place, which the function returned gives back, once.
func (j *jobs) enter(birth bool) (leave func()) {
	places := &j.others
	if birth {
		places = &j.births
	}
	*places++
	return sync.OnceFunc(func() { *places-- })
}
