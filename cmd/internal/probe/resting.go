package probe

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// looksAt looks at a process and its descendants.
type looksAt struct {
	activity *sys.Activity
	pid      int
	members  func() []int
}

// LooksAt looks at process pid, all that it started, and the processes that members names, which
// may be nil.
func LooksAt(pid int, members func() []int) Looks {
	return &looksAt{sys.NewActivity(pid), pid, members}
}

func (l *looksAt) Look() (sys.Doing, error) {
	var more []int
	if l.members != nil {
		more = l.members()
	}
	return l.activity.Look(more)
}

func (l *looksAt) Sockets() (bool, string) { return socketsOf(l.pid, l.activity.Processes()) }

// settled waits until the program is at rest.
func settled(ctx context.Context, c Check, env Env) error {
	if env.PID == 0 {
		return errors.New("settled: no process to look at")
	}
	r := newRest(c, LooksAt(env.PID, env.Members), time.Now())
	for {
		v, next := r.look(time.Now())
		if v.up {
			if env.Note != nil && v.note != "" {
				env.Note(v.note)
			}
			return nil
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return &NotReadyError{Check: c, Last: errors.New(r.doing()), Cause: context.Cause(ctx)}
		}
	}
}

// Resting watches many programs come to rest, from one goroutine, which is there only while there
// is one to watch. The zero value is ready for use.
type Resting struct {
	mu      sync.Mutex
	queue   []*resting // the first to be looked at first
	serving bool
	sooner  chan struct{} // something has become due before what is waited for
}

// While many are watched, looking takes a fifth of one processor at most, in turns of mostLooking:
// a look too late costs a moment, and a start waits for the processor.
const (
	restShareOfTime = 5
	mostLooking     = 5 * time.Millisecond
)

// Watch calls up, once and from another goroutine, when the program is at rest or counts as up;
// note says why if it is not at rest. After stop it is not called any more, but for a call that has
// begun.
func (w *Resting) Watch(c Check, looks Looks, up func(note string)) (stop func()) {
	now := time.Now()
	e := &resting{rest: newRest(c, looks, now), due: now, up: up}
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.put(e)
	switch {
	case !w.serving:
		w.serving = true
		if w.sooner == nil {
			w.sooner = make(chan struct{}, 1)
		}
		go w.serve()
	case first:
		select {
		case w.sooner <- struct{}{}:
		default:
		}
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		e.stopped = true // first drops it when it is due: it may be one of ten thousand
	}
}

// serve looks at whoever is due, until nobody is left.
func (w *Resting) serve() {
	var spent time.Duration // on looking, and not made up for by time that has passed since
	last := time.Now()
	for {
		e, wait, left := w.first()
		if !left {
			return
		}
		if e == nil {
			select {
			case <-time.After(wait):
			case <-w.sooner:
			}
			continue
		}
		now := time.Now()
		spent = max(0, spent-now.Sub(last)/restShareOfTime)
		last = now
		if v, next := e.look(now); !v.up {
			w.again(e, now.Add(next))
		} else if w.goesOn(e) {
			e.up(v.note)
		}
		if spent += time.Since(now); spent >= mostLooking {
			<-time.After((restShareOfTime - 1) * spent)
		}
	}
}

// first takes the one out of the queue that is due, or says how long until one is, or that nobody
// is left.
func (w *Resting) first() (e *resting, wait time.Duration, left bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && w.queue[0].stopped {
		w.queue = slices.Delete(w.queue, 0, 1)
	}
	if len(w.queue) == 0 {
		w.serving = false
		return nil, 0, false
	}
	if wait = time.Until(w.queue[0].due); wait > 0 {
		return nil, wait, true
	}
	e = w.queue[0]
	w.queue = slices.Delete(w.queue, 0, 1)
	return e, 0, true
}

// again puts e back into the queue.
func (w *Resting) again(e *resting, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !e.stopped {
		e.due = due
		w.put(e)
	}
}

// goesOn says whether nobody has stopped the watching of e.
func (w *Resting) goesOn(e *resting) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !e.stopped
}

// resting is one program that is watched.
type resting struct {
	*rest
	due     time.Time
	up      func(note string)
	stopped bool
}

// put adds e to the queue, and says whether it is the first one now. w.mu is held.
func (w *Resting) put(e *resting) (first bool) {
	at, _ := slices.BinarySearchFunc(w.queue, e.due, func(other *resting, due time.Time) int {
		return cmp.Or(other.due.Compare(due), -1) // behind its equals
	})
	w.queue = slices.Insert(w.queue, at, e)
	return at == 0
}
