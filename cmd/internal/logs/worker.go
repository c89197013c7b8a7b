package logs

import (
	"container/heap"
	"errors"
	"sync"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// Times in microseconds for which output is left to gather before it is read again: a
// service that prints many small lines does not wake the worker for each, and a follower
// still sees every line after maxGap at the latest.
const (
	startGap = 5_000
	minGap   = 100
	maxGap   = 10_000

	// gatherGoal is about how much to read at a time: it is worth a wake-up and leaves room in the
	// pipe.
	gatherGoal = 128 << 10
)

// A service that prints more than fastRate bytes in a microsecond, measured over rateWindow
// nanoseconds, prints large pieces, and every moment in which nobody reads costs it throughput: its
// pipe is not left to gather at all. Small writes do not come that fast, since each is a system
// call.
const (
	fastRate   = 400
	rateWindow = 5_000_000
)

const (
	smallPipe = 64 << 10 // what the kernel gives a new pipe
	largePipe = 1 << 20  // pipe-max-size for ordinary users
	// grownMax is how many pipes a worker keeps at largePipe: an ordinary user's share of pipe
	// memory (pipe-user-pages-soft, 64 MiB) is not to be used up.
	grownMax = 8
	// turn is how many bytes are carried from one pipe before others get their turn.
	turn = 1 << 20
	// openMax is how many log files a worker keeps open, and openShare how many of the process's
	// descriptors that may be at most, as a fraction: others need some too.
	openMax   = 64
	openShare = 32
)

// worker carries the output of its share of the streams. Everything in it but the mutex's
// fields belongs to the goroutine in run.
type worker struct {
	e       *Engine
	poll    *sys.Poller
	slot    *stage.Slot
	scratch *stage.Scratch // nil where there is no tee
	inputs  []*input       // by key; nil: free
	free    []int32
	queue   queue // inputs to be read at a certain time
	start   time.Time
	grown   []*input
	open    []*sink // with an open file, at most openMost
	most    int
	done    bool
	err     error // of the closing

	mu      sync.Mutex
	posted  []func()
	stopped bool
}

// openMost is openMax, or as many as a process with so many descriptors, 0 for any number, can
// spare.
func openMost(descriptors uint64) int {
	if descriptors == 0 {
		return openMax
	}
	return int(min(openMax, max(1, descriptors/openShare)))
}

func newWorker(e *Engine) (*worker, error) {
	w := &worker{e: e, start: time.Now(), most: openMost(sys.MostDescriptors())}
	var err error
	if w.poll, err = sys.NewPoller(); err != nil {
		return nil, err
	}
	if w.slot, err = stage.Create(e.slotPath()); err != nil {
		w.poll.Close()
		return nil, err
	}
	w.scratch, err = stage.NewScratch()
	if err != nil {
		w.slot.Remove()
		w.poll.Close()
		return nil, err
	}
	return w, nil
}

// release frees what newWorker made.
func (w *worker) release() {
	w.err = errors.Join(w.err, w.slot.Remove(), w.poll.Close())
	w.scratch.Close()
}

// post has f run on the worker's goroutine, soon, in the order of the calls. It says whether it
// will be.
func (w *worker) post(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.posted = append(w.posted, f)
	if len(w.posted) == 1 {
		w.poll.Wake()
	}
	return true
}

func (w *worker) runPosted() {
	w.mu.Lock()
	posted := w.posted
	w.posted = nil
	w.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

func (w *worker) now() int64 { return int64(time.Since(w.start)) }

func (w *worker) run() {
	events := make([]sys.PollEvent, 128)
	for !w.done {
		timeout := time.Duration(-1)
		if len(w.queue) > 0 {
			timeout = time.Duration(max(0, w.queue[0].due-w.now()))
		}
		n, err := w.poll.Wait(events, timeout)
		if err != nil {
			// Only a programming error gets here (epoll_wait(2): EBADF, EFAULT, EINVAL).
			panic("log engine: " + err.Error())
		}
		now := w.now()
		for _, ev := range events[:n] {
			if in := w.inputs[ev.Key]; in != nil {
				w.happened(in, ev, now)
			}
		}
		for len(w.queue) > 0 && w.queue[0].due <= now {
			w.serve(heap.Pop(&w.queue).(*input), now, false)
		}
		w.runPosted()
	}
}

// happened is called when an armed input has become readable or has been hung up.
func (w *worker) happened(in *input, ev sys.PollEvent, now int64) {
	if in.place >= 0 {
		return // it is being looked after already
	}
	if ev.Hangup && !ev.Read {
		in.ended, in.cut = true, true
		return
	}
	if wait := in.last + int64(in.gap)*1000; in.last > 0 && wait > now && !in.fast {
		w.schedule(in, wait)
		return
	}
	w.serve(in, now, true)
}

// serve carries what waits in the input and decides when to look again.
func (w *worker) serve(in *input, now int64, woken bool) {
	n, err := w.pump(in, turn, false)
	in.last = now
	in.measure(n, now)
	switch {
	case errors.Is(err, errTargetFull):
		w.schedule(in, now+maxGap*1000)
	case err != nil:
		w.schedule(in, now+int64(in.s.cfg.MaxWait))
	case n >= turn, n > 0 && in.fast:
		w.adapt(in, n)
		w.schedule(in, now)
	case n == 0 && in.held != 0:
		w.schedule(in, now+maxGap*1000)
	case n == 0 && w.owesNotice(in):
		w.schedule(in, now+int64(in.s.limit.ready(time.Now())))
	case n == 0, woken && in.held == 0 && !w.owesNotice(in):
		// When it was woken, this is the first output after a silence: the next one, if it comes
		// within the gap, is left to gather. While the beginning of a line is held in the pipe, an
		// armed poller would fire at once.
		w.rest(in)
	default:
		w.adapt(in, n)
		w.schedule(in, now+int64(in.gap)*1000)
	}
}

// measure notes that n bytes were read and decides now and then whether the input is fast.
func (in *input) measure(n int, now int64) {
	in.bytes += int64(n)
	if d := now - in.since; d >= rateWindow {
		in.fast = in.bytes*1000 >= d*fastRate
		in.bytes, in.since = 0, now
	}
}

// owesNotice says that the rate limit has held back lines that the log has not been told of.
func (w *worker) owesNotice(in *input) bool {
	l := in.s.limit
	return l != nil && l.held.Bytes > 0
}

// adapt chooses how long to let the input gather, from how much there was this time.
func (w *worker) adapt(in *input, n int) {
	size := int(in.size)
	if n >= size/2 && !in.large {
		w.grow(in)
	}
	switch {
	case n >= size/4*3:
		in.gap = 0
	case n >= gatherGoal:
		in.gap /= 2
	case n < gatherGoal/2:
		in.gap = min(max(in.gap*2, minGap), maxGap)
	}
}

// grow enlarges the input's pipe, and takes a large one from another that has not asked for
// longest.
func (w *worker) grow(in *input) bool {
	if in.size >= largePipe {
		return false
	}
	if len(w.grown) >= grownMax {
		old := w.grown[0]
		got, err := sys.SetPipeSize(int(old.fd), smallPipe)
		if err != nil {
			return false // EBUSY: it needs it
		}
		old.size, old.large = int32(got), false
		w.grown = w.grown[1:]
	}
	in.large = true // or as large as it gets: once is enough
	w.grown = append(w.grown, in)
	got, err := sys.SetPipeSize(int(in.fd), largePipe)
	if err != nil {
		return false // the user's share is used up: it works without, only slower
	}
	in.size = int32(got)
	return true
}

// rest waits for the input's next event.
func (w *worker) rest(in *input) {
	in.gap = startGap
	if err := w.poll.Arm(int(in.fd), in.key); err != nil {
		w.e.trouble(in.s.id, err)
		w.schedule(in, w.now()+maxGap*1000) // look without being told
	}
}

// schedule has the input served at the time due.
func (w *worker) schedule(in *input, due int64) {
	in.due = due
	if in.place >= 0 {
		heap.Fix(&w.queue, int(in.place))
		return
	}
	heap.Push(&w.queue, in)
}

// queue is a heap of inputs by due time; each knows its place.
type queue []*input

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = int32(i), int32(j)
}

func (q *queue) Push(x any) {
	in := x.(*input)
	in.place = int32(len(*q))
	*q = append(*q, in)
}

func (q *queue) Pop() any {
	old := *q
	in := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	in.place = -1
	return in
}
