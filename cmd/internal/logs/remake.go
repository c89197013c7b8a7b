package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// Remake makes what the engine has in the file system anew, as far as it is not there any more, in
// dir, and says whether anything was missing. What is open goes on: a FIFO that has lost its name
// is read, and given to processes, as before, and has one again from the start on that finds nobody
// printing into it.
func (e *Engine) Remake(dir string) (missing bool, err error) {
	e.dir.Store(&dir)
	for _, d := range []string{dir, e.fifoDir(), e.errDir(), e.stageDir()} {
		if _, err := os.Lstat(d); err != nil {
			missing = true
		}
		if err := ownDir(d); err != nil {
			return missing, fmt.Errorf("log engine: %w", err)
		}
	}
	if missing {
		e.mu.Lock()
		all := e.allWorkers()
		e.mu.Unlock()
		for _, w := range all {
			w.post(w.renewSlot)
		}
	}
	return missing, nil
}

// renewSlot gives the worker a slot that the next engine finds, if nothing is in the one it has.
func (w *worker) renewSlot() {
	if w.slot.Phase() != stage.Idle || w.slot.Drop().Bytes != 0 {
		return
	}
	slot, err := stage.Create(w.e.slotPath())
	if err != nil {
		w.e.trouble("", fmt.Errorf("log engine: %w", err)) // what it has is as good while we live
		return
	}
	old := w.slot
	w.slot = slot
	if err := old.Remove(); err != nil {
		w.e.trouble("", fmt.Errorf("log engine: %w", err))
	}
}

// openEnd opens the writing end of the input's FIFO, and another FIFO first if this one has no name
// and nobody has it.
func (w *worker) openEnd(in *input) (*os.File, error) {
	path := w.e.fifoPath(in.s.id, in.which)
	fd, err := sys.OpenFIFOBoth(path)
	if errors.Is(err, fs.ErrNotExist) && !w.written(in) {
		if err := w.renewFIFO(in); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		fd, err = sys.OpenFIFOBoth(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		fd, err = sys.OpenFIFOAgain(int(in.fd))
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// renewFIFO puts a FIFO with a name in the place of one that has none, into which nobody prints any
// more.
func (w *worker) renewFIFO(in *input) error {
	if err := w.drainInput(in); err != nil {
		return err
	}
	path := w.e.fifoPath(in.s.id, in.which)
	err := sys.MakeFIFO(path, fifoMode)
	// its directory went too, and a start need not wait for who looks after those
	if errors.Is(err, fs.ErrNotExist) {
		if err = errors.Join(ownDir(*w.e.dir.Load()), ownDir(w.e.fifoDir())); err == nil {
			err = sys.MakeFIFO(path, fifoMode)
		}
	}
	if err != nil {
		return err
	}
	fd, err := sys.OpenFIFOReader(path)
	if err != nil {
		return err
	}
	old := int(in.fd)
	if err := errors.Join(w.poll.Remove(old), sys.CloseFD(old)); err != nil {
		return errors.Join(err, sys.CloseFD(fd))
	}
	in.fd, in.size, in.large = int32(fd), smallPipe, false
	if n, err := sys.PipeSize(fd); err == nil {
		in.size = int32(n)
	}
	in.ended = true // nobody writes yet: see revive
	return w.poll.Add(fd, in.key)
}
