package supervise

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// readyPipe is the FIFO of a service that says it is ready by writing to a descriptor. A pipe
// without a name would end with us, and the service by SIGPIPE; from this one a successor can read.
func (e *Engine) readyPipe(name string) string { return filepath.Join(e.o.RuntimeDir, "ready", name) }

// makeReadyPipe makes the FIFO anew, because what is left of an earlier run may still hold the old
// one.
func makeReadyPipe(path string) (ours, theirs *os.File, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	if err := sys.MakeFIFO(path, 0o622); err != nil {
		return nil, nil, err
	}
	if ours, err = openReadyPipe(path); err != nil {
		return nil, nil, err
	}
	fd, err := sys.OpenFIFOBoth(path)
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	return ours, os.NewFile(uintptr(fd), path), nil
}

func openReadyPipe(path string) (*os.File, error) {
	fd, err := sys.OpenFIFOReader(path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// lookAgain has w know what a start would have it know, for a process that was started at a time in
// the past.
func (b *birth) lookAgain(w *launch.Watch, sp *spawn.Spec, started time.Time) (err error) {
	var log logs.Config
	if b.spec.Stdout.Kind == spec.StreamLog || b.spec.Stderr.Kind == spec.StreamLog {
		if log, err = logConfig(b.spec, b.logDir); err != nil {
			return err
		}
	}
	w.Env = launch.ProbeEnv(sp, b.spec.Process, []string{log.Path, log.ErrPath})
	if w.Check.Kind == spec.ProbeFile {
		if info, err := os.Stat(w.Check.Target); err == nil && !info.ModTime().Before(started) {
			return nil // it was not there before
		}
	}
	w.Env.Seen, err = probe.Look(w.Check, w.Env)
	return err
}
