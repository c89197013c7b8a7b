package server

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/internal/paths"
)

// location is where the supervisor is at the moment: its runtime directory may have to go
// elsewhere.
type location struct {
	mu    sync.Mutex
	paths paths.Paths
	locks locks
}

func (p *location) where() paths.Paths {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paths
}

func (p *location) release() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.locks.release()
}

// move makes another runtime directory, which is locked, that of the supervisor.
func (p *location) move(to paths.Paths, dir *os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.locks.dir
	p.paths, p.locks.dir = to, dir
	return old.Close()
}

// holdsDir says whether the runtime directory is still where it is looked for.
func (p *location) holdsDir() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, err := p.locks.dir.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(p.paths.Runtime)
	return err == nil && os.SameFile(held, there)
}

// settle makes us the one supervisor, in directories that are there and ours.
func (o Options) settle() (*location, error) {
	if err := o.Paths.CreateState(); err != nil {
		return nil, err
	}
	if o.Inherited != nil {
		return o.inheritLocation(), nil
	}
	at := &location{paths: o.Paths}
	var err error
	if at.locks.state, err = lockState(o.Paths.State); err != nil {
		return nil, err
	}
	to, dir, err := o.lockedRuntime(o.Paths)
	if err != nil {
		return nil, errors.Join(err, at.locks.state.Close())
	}
	at.paths, at.locks.dir = to, dir
	return at, nil
}

// inheritLocation is the place of the program before us in this process, which need not be where
// ours would be.
func (o Options) inheritLocation() *location {
	m := o.Inherited
	at := &location{paths: o.Paths}
	at.locks.state = os.NewFile(uintptr(m.StateLock), lockName)
	at.locks.dir = os.NewFile(uintptr(m.RuntimeLock), o.Paths.Runtime)
	for _, other := range []paths.Paths{o.Paths, o.Paths.Remembered(), o.Paths.Elsewhere()} {
		if at.paths = other; at.holdsDir() {
			return at
		}
	}
	at.paths = o.Paths
	return at
}

// lockedRuntime makes the runtime directory, or another one in its place, and locks it.
func (o Options) lockedRuntime(p paths.Paths) (paths.Paths, *os.File, error) {
	to, why, err := p.Settle(o.Group, supervise.Left...)
	if err != nil {
		return p, nil, err
	}
	if why != nil {
		o.Trouble(why)
	}
	dir, err := lockRuntime(to.Runtime)
	if err != nil {
		return p, nil, err
	}
	if err := to.Remember(); err != nil && (why != nil || to != o.Paths) {
		o.Trouble(fmt.Errorf("commands with another environment may not find the supervisor: %w",
			err))
	}
	return to, dir, nil
}

// restore makes anew what is missing of the supervisor's own in the runtime directory, and says
// whether anything was.
func (k *keeper) restore() (changed bool, err error) {
	if !k.at.holdsDir() {
		changed = true
		to, dir, err := k.o.lockedRuntime(k.o.Paths)
		if err != nil {
			return changed, err
		}
		was := k.at.where().Runtime
		if err := k.at.move(to, dir); err != nil {
			return changed, err
		}
		k.o.Trouble(fmt.Errorf("the runtime directory %s was removed; %s is made anew",
			was, to.Runtime))
	}
	if changed || !k.control.named() {
		changed = true
		if err := k.renewSocket(); err != nil {
			return changed, err
		}
	}
	again, err := k.engine.Remake(k.ctx, k.at.where().Runtime)
	return changed || again, err
}

func (k *keeper) renewSocket() error {
	l, err := listenUnnamed(k.at.where().Socket(), k.o.Group)
	if err != nil {
		return err
	}
	if err := l.publish(); err != nil {
		return errors.Join(err, l.Close())
	}
	return k.control.replace(l)
}
