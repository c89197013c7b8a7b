package supervise

import (
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// watched is a descriptor that the engine waits at, with what to do when what it waits for has
// come.
type watched struct {
	fd int
	f  func()
}

// openWatch makes what waits at descriptors. Where the system has nothing of the kind, services on
// demand are refused when they start, and what is stored is kept until somebody asks for it.
func (e *Engine) openWatch() error {
	w, err := sys.NewWatch()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	e.watch = w
	return err
}

// see tells the owner what has come, until the watch is closed.
func (e *Engine) see() {
	keys := make([]uint64, 64)
	for {
		n, err := e.watch.Next(keys)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // epoll_wait(2) fails for our own mistakes only
			e.post(func() { e.o.Trouble(fmt.Errorf("wait for connections: %w", err)) })
			return
		}
		for _, key := range keys[:n] {
			e.post(func() {
				if w, ok := e.watching[key]; ok {
					e.forgetWatch(key)
					w.f()
				}
			})
		}
	}
}

// watchFor has f run by the owner, once, when want has come at fd. What it returns is for
// forgetWatch, to be called before fd is closed; 0 if there is nothing to wait for at such a
// descriptor.
func (e *Engine) watchFor(fd int, want sys.Interest, f func()) (uint64, error) {
	if e.watch == nil {
		return 0, sys.Unsupported("waiting for connections")
	}
	e.lastKey++
	if err := e.watch.Add(fd, want, e.lastKey); err != nil {
		return 0, err
	}
	e.watching[e.lastKey] = watched{fd, f}
	return e.lastKey, nil
}

// forgetWatch ends what watchFor began, unless it has ended.
func (e *Engine) forgetWatch(key uint64) {
	w, ok := e.watching[key]
	if !ok {
		return
	}
	delete(e.watching, key)
	if err := e.watch.Remove(w.fd); err != nil {
		e.o.Trouble(fmt.Errorf("wait for connections: %w", err))
	}
}
