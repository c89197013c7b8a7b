package spawn

import (
	"context"
	"errors"
	"runtime"

	"github.com/daemonry/daemonry/internal/sys"
)

// ErrNeedsWatcher says that LeaveBehind cannot do it; nothing has happened, and Detach can.
var ErrNeedsWatcher = errors.New("needs a watcher")

// LeaveBehind starts a daemon for a process that has nothing else to do and ends right after: a
// command. The process itself leads the daemon's session, and its end is that of daemon(7)'s first
// child. So there is one process less to start than with Detach, which is most of the time that it
// takes.
//
// It changes the calling process: it leaves its session and loses its terminal, its umask and
// working directory are the daemon's, descriptors above 2 become close-on-exec, ignored signals
// return to their defaults. Where the process leads a process group, as one that an interactive
// shell has started does, or s asks for what a thread cannot give, or for a program or a directory
// on a file system that may not answer, the error is ErrNeedsWatcher. When ctx ends, it waits for
// no file system any more. The daemon is a child of this process until that ends.
func LeaveBehind(ctx context.Context, s *Spec) (pid int, err error) {
	if err := s.check(); err != nil {
		return 0, fail(StepStart, "", err)
	}
	if s.needsStage() || s.Birth != nil {
		return 0, ErrNeedsWatcher
	}
	d := s.describe()
	defer runtime.KeepAlive(s)
	if far, err := d.far(ctx); err != nil {
		return 0, err
	} else if far {
		return 0, ErrNeedsWatcher
	}
	if err := sys.SealDescriptors(3); err != nil {
		return 0, fail(StepDescriptors, "", err)
	}
	if err := sys.NewSession(); err != nil {
		return 0, ErrNeedsWatcher // EPERM is the only error there is
	}
	d.Session = false
	runtime.LockOSThread()
	return startHere(&d) // nothing of the process need be kept
}
