package pidfile

import (
	"fmt"

	"github.com/daemonry/daemonry/internal/sys"
)

// RemoveDead deletes the pid file of a process that is gone, or empties it (see File.Remove), for
// whoever ended a daemon that does not do it itself. It holds the lock meanwhile, so a start that
// happens at the same time loses nothing. That there is no file is no error; a process that runs
// is a *RunningError, a start in progress ErrLocked, and a file whose process
// may be alive (Unproven) or that holds rubbish stays, with an error.
func RemoveDead(path string) error {
	i, err := Find(path)
	if err != nil {
		return err
	}
	if err := i.Close(); err != nil {
		return err
	}
	switch i.State {
	case Absent:
		return nil
	case Unproven: // another program's own pid file, it may be
		return fmt.Errorf("remove pid file %s: %w", path, i.Why)
	}
	f, err := Acquire(path, Options{})
	if err != nil {
		return err
	}
	f.stale = false // Acquire has found that its process is gone
	f.written = i.PID
	if err := f.remove(); err != nil {
		return sys.Also(fmt.Errorf("remove pid file %s: %w", path, err), f.Close())
	}
	return f.Close()
}
