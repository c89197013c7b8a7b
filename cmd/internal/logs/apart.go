package logs

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

const (
	// mostApart is how many workers there are at most for logs on file systems that may not answer.
	// A log that is not answered holds up those that share its worker.
	mostApart = 16
	// apartWait is how long it is waited for what the file system of a log is.
	apartWait = 250 * time.Millisecond
)

// isApart says whether a log is on a file system with somebody else behind it (sys.LocalFS), who
// may not answer the worker that writes to it.
func isApart(cfg *Config) bool {
	ctx, cancel := context.WithTimeout(context.Background(), apartWait)
	defer cancel()
	paths := []string{cfg.Path, cfg.ErrPath} // not read by who does not come back
	local, err := sys.Within(ctx, "", func() (bool, error) {
		for _, path := range paths {
			if path != "" && !isLocal(filepath.Dir(path)) {
				return false, nil
			}
		}
		return true, nil
	}, nil)
	return !local || err != nil
}

// isLocal is about the nearest directory that there is.
func isLocal(dir string) bool {
	for {
		local, err := sys.LocalFS(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return local || errors.Is(err, errors.ErrUnsupported)
		}
		dir = filepath.Dir(dir)
	}
}

// workerApart returns the worker of a log that isApart: a new one, or one of those that there are
// when there may be no more.
func (e *Engine) workerApart() (*worker, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remote++
	if len(e.apart) >= mostApart {
		return e.apart[e.remote%len(e.apart)], nil
	}
	e.mu.Unlock()
	w, err := newWorker(e) // which takes the lock
	e.mu.Lock()
	switch {
	case err != nil:
		return nil, err
	case e.closed:
		w.release()
		return nil, ErrClosed
	case len(e.apart) >= mostApart: // others have asked meanwhile
		w.release()
		return e.apart[e.remote%len(e.apart)], nil
	}
	e.apart = append(e.apart, w)
	e.wg.Go(w.run)
	return w, nil
}

// allWorkers lists them. e.mu is held.
func (e *Engine) allWorkers() []*worker { return slices.Concat(e.workers, e.apart) }
