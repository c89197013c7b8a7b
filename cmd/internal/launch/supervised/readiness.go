package supervised

import (
	"context"
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

// MakeReadyPipe makes the FIFO anew, because what is left of an earlier run may still hold the old
// one.
func MakeReadyPipe(path string) (ours, theirs *os.File, err error) {
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

// WatchAgain is what Start leaves for those who watch over readiness, for a process that an earlier
// supervisor has started at that time.
func (l *Launch) WatchAgain(ctx context.Context, started time.Time) (*launch.Watch, error) {
	w := &launch.Watch{Check: probe.Check{Probe: l.Spec.Ready}}
	if w.Check.Kind == spec.ProbeExec {
		return w, nil // it runs, whatever has become of what it was started with
	}
	var sp spawn.Spec
	err := l.describe(ctx, &sp, l.Spec.Command)
	if err == nil {
		err = l.lookAgain(w, &sp, started)
	}
	if err == nil && w.Check.Kind == spec.ProbeFD {
		w.Pipe, err = openReadyPipe(l.ReadyPipe)
	}
	return w, err
}

// lookAgain has w know what Start would have it know.
func (l *Launch) lookAgain(w *launch.Watch, sp *spawn.Spec, started time.Time) (err error) {
	var log logs.Config
	if l.Spec.Stdout.Kind == spec.StreamLog || l.Spec.Stderr.Kind == spec.StreamLog {
		if log, err = LogConfig(l.Spec, l.LogDir); err != nil {
			return err
		}
	}
	w.Env = launch.ProbeEnv(sp, l.Spec.Process, []string{log.Path, log.ErrPath})
	if w.Check.Kind == spec.ProbeFile {
		if info, err := os.Stat(w.Check.Target); err == nil && !info.ModTime().Before(started) {
			return nil // it was not there before
		}
	}
	w.Env.Seen, err = probe.Look(w.Check, w.Env)
	return err
}
