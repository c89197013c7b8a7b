package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/internal/sys"
)

// keeper sees to it that the supervisor can be reached: whoever removes its runtime directory or
// what is in it (the end of a login, who tidies up temporary files) takes nothing away for good.
type keeper struct {
	o       Options
	at      *location
	engine  *supervise.Engine
	control *limited

	ctx     context.Context
	watcher *sys.Watcher // nil: there is none
}

// Times of the keeper.
const (
	// keepCalm is how long it waits after a change for others that come with it.
	keepCalm = 50 * time.Millisecond
	// keepRetry is how long after a failure it tries again.
	keepRetry = 2 * time.Second
	// keepLook is how often it looks where nothing tells of changes (no inotify, or no instance of
	// it is left to the user).
	keepLook = 10 * time.Second
	// keepAnyhow is how often it looks besides: a file system that is mounted over the directory
	// says nothing.
	keepAnyhow = time.Hour
)

// keep begins; the function returned ends it.
func (k *keeper) keep(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	k.ctx = ctx
	var mu sync.Mutex // of watcher, whose Close ends the wait
	var done sync.WaitGroup
	done.Go(func() {
		told, stale := "", true
		for ctx.Err() == nil {
			if stale {
				mu.Lock()
				k.watch()
				mu.Unlock()
			}
			var err error
			if stale, err = k.restore(); stale && err == nil {
				k.pause(keepCalm)
				continue // look again, now that it is watched
			}
			if text := fmt.Sprint(err); err != nil && text != told && ctx.Err() == nil &&
				!errors.Is(err, supervise.ErrClosed) {
				k.o.Trouble(fmt.Errorf("runtime directory: %w", err))
			}
			told = fmt.Sprint(err)
			switch {
			case err != nil:
				k.pause(keepRetry)
			case k.watcher == nil:
				k.pause(keepLook)
			default:
				if k.watcher.Wait(keepAnyhow) == nil {
					k.pause(keepCalm)
				}
			}
		}
	})
	return func() {
		cancel()
		mu.Lock()
		if k.watcher != nil {
			_ = k.watcher.Close() // which ends the wait
		}
		mu.Unlock()
		done.Wait()
	}
}

// watch has the watcher tell of the directories as they are now.
func (k *keeper) watch() {
	if k.watcher != nil {
		_ = k.watcher.Close() // what it has not told of yet is looked at now
		k.watcher = nil
	}
	if k.ctx.Err() != nil {
		return
	}
	w, err := sys.NewWatcher()
	if err != nil {
		return
	}
	dir := k.at.where().Runtime
	for _, one := range []string{dir, filepath.Join(dir, "notify"), filepath.Join(dir, "log")} {
		err = errors.Join(err, w.AddNames(one))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = w.Close()
		return
	}
	k.watcher = w
}

func (k *keeper) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-k.ctx.Done():
	}
}
