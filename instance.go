package daemonry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
)

// Instance is a running daemon found by its pid file. It is held: whatever
// becomes of its pid, the methods concern this process or nobody.
type Instance struct {
	PID int
	// Since is when it was started; the zero time where that cannot be read.
	Since time.Time
	// Command is what it was started with, its own name first; nil where that cannot be read. A
	// program can write over it (setproctitle(3)).
	Command []string

	file *pidfile.Instance
}

// String is one line for a person.
func (i *Instance) String() string {
	s := "running, pid " + strconv.Itoa(i.PID)
	if !i.Since.IsZero() {
		s += ", since " + i.Since.Format("2006-01-02 15:04:05")
	}
	if len(i.Command) > 0 {
		s += ": " + strings.Join(i.Command, " ")
	}
	return s
}

// Find returns the daemon that pidFile provably belongs to. The error wraps ErrNotRunning when
// there is none, whatever pid may be in the file.
func Find(pidFile string) (*Instance, error) {
	i, err := pidfile.Find(pidFile)
	if err != nil {
		return nil, err
	}
	if i.State != pidfile.Running {
		return nil, errors.Join(fmt.Errorf("pid file %s: %v: %w", pidFile, i.State, ErrNotRunning),
			i.Close())
	}
	found := &Instance{PID: i.PID, file: i}
	// Information, which other systems, and a /proc that hides others' processes, do not give.
	if stat, err := sys.ReadStat(i.PID); err == nil {
		found.Since, _ = sys.StartedAt(stat)
	}
	found.Command, _ = sys.Cmdline(i.PID)
	return found, nil
}

// ErrNotRunning says that no daemon runs that the pid file belongs to.
var ErrNotRunning = pidfile.ErrNotRunning

// Wait returns when the daemon has ended, or with ctx's error when that ends first.
func (i *Instance) Wait(ctx context.Context) error { return i.file.Wait(ctx) }

// Stop ends the daemon: SIGTERM, and SIGKILL if it is still there after grace, at once if that is
// 0. It returns when it has ended. Only the daemon itself gets the signals, not what it started.
func (i *Instance) Stop(ctx context.Context, grace time.Duration) error {
	if err := i.Signal(syscall.SIGTERM); err != nil {
		return i.unlessDone(err)
	}
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := i.Wait(patience); ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err := i.Signal(syscall.SIGKILL); err != nil {
		return i.unlessDone(err)
	}
	return i.Wait(ctx)
}

// unlessDone takes the error that the daemon is not there any more for what it is to Stop: success.
func (i *Instance) unlessDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Close lets go of the instance; the daemon goes on.
func (i *Instance) Close() error { return i.file.Close() }

// Send sends the word's signal to the daemon of pidFile. For SIGTERM, SIGQUIT, SIGINT and SIGKILL,
// which end a daemon, it waits until that has happened or ctx ends.
func (c Commands) Send(ctx context.Context, pidFile, word string) error {
	sig, ok := c[word]
	if !ok {
		return fmt.Errorf("unknown command %q: use one of %s",
			word, strings.Join(slices.Sorted(maps.Keys(c)), ", "))
	}
	i, err := Find(pidFile)
	if err != nil {
		return err
	}
	defer i.Close()
	if err := i.Signal(sig); err != nil {
		return err
	}
	if ends(sig) {
		return i.Wait(ctx)
	}
	return nil
}
