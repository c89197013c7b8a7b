package persist

import (
	"fmt"
	"maps"
	"time"
)

// Writer writes, for an owner that never waits for it, what the owner marks as changed. A write is
// done by a goroutine, one at a time; what is marked meanwhile is written together after it. What
// could not be written stays marked. It is tried again after a pause, with each further mark, and
// at once for whoever has come to wait.
//
// All of it is for the owner alone, but for the function that writes.
type Writer[K comparable] struct {
	config  Config[K]
	marked  map[K]struct{}
	later   map[K]struct{} // to be marked when soon goes off
	waiting []func(error)  // for the next write that begins
	writing bool
	failing error // why the last write failed; nil if it did not
	pause   time.Duration
	retry   *time.Timer
	soon    *time.Timer
	full    bool // what was set aside is in use, which was told
}

// Config is what a Writer needs of its owner.
type Config[K comparable] struct {
	// Post has a function run by the owner, after what it is doing now.
	Post func(func())
	// Begin takes down what is true now of what is marked, and returns how that is written, away
	// from the owner. What it returns besides is run by the owner when it has been; nil: nothing.
	Begin func(marked map[K]struct{}) (write func() error, written func())
	// Behind has a function run by the owner when another writer has done all that was marked there
	// before, or could not. A write begins only then. Nil: it waits for nobody.
	Behind func(func(error))
	// Ballast is what is set aside for what is written.
	Ballast *Ballast
	// Trouble is told once why nothing can be written, after the words of Failing, and that room
	// must be made. Recovered is told the words of Again.
	Trouble        func(error)
	Recovered      func(string)
	Failing, Again string
}

// First and longest pause before a write that failed is tried again.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// soonDelay is for what may be marked as often as somebody likes.
const soonDelay = time.Second

// NewWriter makes a Writer of which nothing is marked.
func NewWriter[K comparable](c Config[K]) *Writer[K] {
	return &Writer[K]{config: c, marked: map[K]struct{}{}, later: map[K]struct{}{}}
}

// Mark has keys written with the next write, and begins none.
func (w *Writer[K]) Mark(keys ...K) {
	for _, key := range keys {
		w.marked[key] = struct{}{}
	}
}

// Write marks keys, and begins a write, unless one is under way or there is nothing to write.
func (w *Writer[K]) Write(keys ...K) {
	w.Mark(keys...)
	if w.writing || len(w.marked)+len(w.waiting) == 0 {
		return
	}
	w.writing = true
	taken, waiting := w.marked, w.waiting
	w.marked, w.waiting = map[K]struct{}{}, nil
	write, written := w.config.Begin(taken)
	begin := func(error) {
		go func() {
			err := write()
			w.config.Post(func() {
				if err == nil && written != nil {
					written()
				}
				w.ended(taken, waiting, err)
			})
		}()
	}
	if w.config.Behind != nil {
		w.config.Behind(begin)
	} else {
		begin(nil)
	}
}

// WriteSoon is Write for what can wait.
func (w *Writer[K]) WriteSoon(key K) {
	if w.later[key] = struct{}{}; w.soon == nil {
		w.soon = time.AfterFunc(soonDelay, func() { w.config.Post(w.WriteLater) })
	}
}

// WriteLater is Write, now, of what can wait.
func (w *Writer[K]) WriteLater() {
	w.takeLater()
	w.Write()
}

func (w *Writer[K]) takeLater() {
	stop(w.soon)
	w.soon = nil
	maps.Copy(w.marked, w.later)
	clear(w.later)
}

// Await has f run by the owner, once, when all that was marked before is written, or with the
// reason why it can not be.
func (w *Writer[K]) Await(f func(error)) {
	w.waiting = append(w.waiting, f)
	w.Write()
}

// ended is what the owner does after a write. Until all who waited are told it counts as under way,
// so that what they mark is written together.
func (w *Writer[K]) ended(taken map[K]struct{}, waiting []func(error), err error) {
	for _, f := range waiting {
		f(err)
	}
	w.writing = false
	if err == nil {
		w.recovered()
		w.Write()
		return
	}
	maps.Copy(w.marked, taken)
	if w.failing == nil || w.failing.Error() != err.Error() {
		w.config.Trouble(fmt.Errorf("%s: %w", w.config.Failing, err))
	}
	w.failing = err
	if len(w.waiting) > 0 { // somebody has come meanwhile and wants to know
		w.Write()
		return
	}
	w.pause = min(max(2*w.pause, firstPause), longestPause)
	stop(w.retry)
	w.retry = time.AfterFunc(w.pause, func() { w.config.Post(func() { w.Write() }) })
}

func (w *Writer[K]) recovered() {
	if w.failing != nil {
		w.config.Recovered(w.config.Again)
	}
	w.failing, w.pause = nil, 0
	if err := w.config.Ballast.inUse(); (err != nil) != w.full {
		if w.full = err != nil; w.full {
			w.config.Trouble(err)
		}
	}
}

// Busy says whether a write is under way, or waits for another writer.
func (w *Writer[K]) Busy() bool { return w.writing }

// Pending says whether something is marked that is not on disk and not being written.
func (w *Writer[K]) Pending() bool { return len(w.marked)+len(w.later) > 0 }

// Failing returns why nothing could be written last, nil if it could.
func (w *Writer[K]) Failing() error { return w.failing }

// End is the end of a Writer that is not busy: it will do nothing by itself any more.
func (w *Writer[K]) End() {
	stop(w.retry)
	stop(w.soon)
}

// Flush is End that writes before, at once, what is marked.
func (w *Writer[K]) Flush() error {
	w.End()
	if !w.Pending() {
		return nil
	}
	w.takeLater()
	write, _ := w.config.Begin(w.marked)
	return write()
}

func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
