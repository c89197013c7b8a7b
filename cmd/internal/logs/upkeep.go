package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/internal/sys"
)

// upkeep compresses and removes rotated files, on a thread of its own with the lowest priority.
// That is kept from the first work on: a new one for each would have to be had when the kernel may
// refuse one (sys.ReserveThreads). It begins a little late, so that the logs of a thousand services
// that start together are looked at together: each look reads a whole directory.
type upkeep struct {
	e *Engine

	mu      sync.Mutex
	jobs    map[string]task // by the log's path
	known   map[string]bool // paths that count against the budget
	running bool
	stopped bool
	begin   *time.Timer // of the work, while running
	work    chan func() // for the thread; nil: there is none yet
	done    sync.WaitGroup
}

// upkeepDelay is how late the upkeep begins.
const upkeepDelay = 200 * time.Millisecond

// task is what is to be done for one log.
type task struct {
	id     string
	rotate Rotate
}

// tend has the rotated files of the log at path brought to what rotate says, soon.
func (j *upkeep) tend(id, path string, rotate Rotate) {
	if path == "" {
		return
	}
	path = filepath.Clean(path) // as the directory is read
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known[path] = true
	j.jobs[path] = task{id, rotate}
	if !j.running && !j.stopped {
		j.launch(j.run)
	}
}

// start looks at the budget once: there may be less of it than there was, and it may be long until
// a file is rotated.
func (j *upkeep) start() {
	if j.e.opts.Budget <= 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.launch(func() {
		j.economize()
		j.run()
	})
}

// launch has f run a little later, on the thread. j.mu is held.
func (j *upkeep) launch(f func()) {
	j.running = true
	j.done.Add(1)
	if j.work == nil {
		j.work = make(chan func())
		go j.thread(j.work)
	}
	work := j.work
	j.begin = time.AfterFunc(upkeepDelay, func() {
		work <- func() { defer j.done.Done(); f() }
	})
}

// thread does the work, and ends with the upkeep.
func (j *upkeep) thread(work <-chan func()) {
	// Never unlocked: the thread ends with the goroutine, and its priority with it.
	runtime.LockOSThread()
	if err := sys.IfSupported(sys.LowerThread()); err != nil {
		j.e.trouble("", fmt.Errorf("compress at low priority: %w", err))
	}
	for f := range work {
		f()
	}
}

// ignore takes the log off the budget.
func (j *upkeep) ignore(path string) {
	path = filepath.Clean(path)
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.known, path)
	delete(j.jobs, path)
}

// stop waits for the file that is being worked on; what else there was to do is done at the next
// start.
func (j *upkeep) stop() {
	j.mu.Lock()
	j.stopped = true
	if j.begin != nil && j.begin.Stop() {
		j.done.Done()
	}
	work := j.work
	j.work = nil
	j.mu.Unlock()
	j.done.Wait()
	if work != nil {
		close(work)
	}
}

// take returns what is to be done in one directory, so that it is read once for all the logs in it;
// nothing ends the work.
func (j *upkeep) take() (dir string, jobs map[string]task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped || len(j.jobs) == 0 {
		j.running = false
		return "", nil
	}
	jobs = make(map[string]task)
	for path, c := range j.jobs {
		if dir == "" {
			dir = filepath.Dir(path)
		}
		if filepath.Dir(path) == dir {
			jobs[path] = c
			delete(j.jobs, path)
		}
	}
	return dir, jobs
}

func (j *upkeep) run() {
	for {
		dir, jobs := j.take()
		if jobs == nil {
			return
		}
		all, err := layout.Dir(dir)
		if err != nil {
			j.e.trouble("", fmt.Errorf("rotated logs: %w", err))
			continue
		}
		j.dropHalves(dir, jobs)
		for path, c := range jobs {
			if err := j.tidy(all[path], c.rotate); err != nil {
				j.e.trouble(c.id, err)
			}
		}
		j.economize()
	}
}

// dropHalves removes what compressions of these logs have left that were killed. Nobody else makes
// such names, and there is one upkeep.
func (j *upkeep) dropHalves(dir string, jobs map[string]task) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.e.trouble("", fmt.Errorf("half compressed logs: %w", err))
	}
	for _, entry := range entries {
		whole, half := strings.CutSuffix(filepath.Join(dir, entry.Name()), layout.Tmp)
		if !half {
			continue
		}
		log, r, ok := layout.Parse(whole)
		c, ours := jobs[log]
		if !ok || !ours || r.Compression == layout.None {
			continue
		}
		if err := os.Remove(whole + layout.Tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			j.e.trouble(c.id, fmt.Errorf("remove half a compressed log: %w", err))
		}
	}
}

// tidy removes and compresses the rotated files of one log, the oldest first.
func (j *upkeep) tidy(list []layout.Rotated, rotate Rotate) error {
	drop := 0
	if rotate.Keep >= 0 {
		drop = max(0, len(list)-rotate.Keep)
	}
	if rotate.MaxAge > 0 {
		limit := time.Now().Add(-rotate.MaxAge)
		for drop < len(list) && list[drop].Time.Before(limit) {
			drop++
		}
	}
	var errs []error
	for _, r := range list[:drop] {
		if err := os.Remove(r.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove an old log: %w", err))
		}
	}
	for _, r := range list[drop:] {
		if r.Compression != layout.None || rotate.Compress == layout.None {
			continue
		}
		j.mu.Lock()
		stopped := j.stopped
		j.mu.Unlock()
		if stopped {
			break
		}
		if err := compress(r.Path, rotate.Compress); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("compress an old log: %w", err))
		}
	}
	return errors.Join(errs...)
}

// aged is a rotated file and its size.
type aged struct {
	layout.Rotated
	size int64
}

// economize removes rotated files, the oldest of all logs first, until all logs together are within
// the budget. Current files are never touched.
func (j *upkeep) economize() {
	budget := j.e.opts.Budget
	if budget <= 0 {
		return
	}
	total, files, err := j.survey()
	slices.SortFunc(files, func(a, b aged) int { return a.Time.Compare(b.Time) })
	for _, f := range files {
		if total <= budget || err != nil {
			break
		}
		if err = os.Remove(f.Path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		total -= f.size
	}
	if err != nil {
		j.e.trouble("", fmt.Errorf("log budget: %w", err))
	}
}

// survey returns what all logs take, and the rotated files among them.
func (j *upkeep) survey() (total int64, rotated []aged, err error) {
	ours := j.e.opts.LogDir
	dirs := make(map[string]bool)
	if ours != "" {
		ours = filepath.Clean(ours)
		dirs[ours] = true
	}
	j.mu.Lock()
	known := maps.Clone(j.known)
	j.mu.Unlock()
	for path := range known {
		dirs[filepath.Dir(path)] = true
	}
	for dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, nil, err
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			base, r, old := layout.Parse(path)
			if !old {
				base = path
			}
			if !entry.Type().IsRegular() || dir != ours && !known[base] {
				continue
			}
			st, err := sys.StatPath(path)
			if err != nil {
				continue // removed or compressed in between: it counts the next time
			}
			total += st.Size
			if old {
				rotated = append(rotated, aged{r, st.Size})
			}
		}
	}
	return total, rotated, nil
}
