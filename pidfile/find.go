package pidfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// State is what a pid file says about its process.
type State int

const (
	Absent   State = iota // there is no pid file
	Dead                  // there is one, but its process is gone, or the pid is another's by now
	Starting              // somebody holds the lock and has not recorded a process yet
	Running               // the process recorded is alive, provably
	Unproven              // a process with this pid is alive, but nothing proves that it is the one
)

var stateNames = [...]string{"absent", "dead", "starting", "running", "unproven"}

// String returns the state as one lower-case word.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// Instance is what Find found. If it is Running, the process is held fast:
// Signal and Wait concern it and never another that got its pid. Close it after use.
type Instance struct {
	Path  string
	State State
	PID   int   // as recorded in the file; 0 if there is none
	Why   error // why the state is not Running; nil if it is

	proc *sys.Process
}

// Find tells what a pid file says, and changes nothing. If there is none, but a process that is
// alive holds the one that was there (a cleaner has taken it), it is Running. Only Running is
// proven. Unproven is what a pid file gets that another program wrote, such as nginx, and a process
// whose start time cannot be read: it is information, and Signal refuses.
//
// A file that somebody other than its owner may write is refused with
// ErrInsecure; one owned by neither root nor us is believed only about
// processes that its owner may signal himself.
func Find(path string) (*Instance, error) {
	for range maxTries {
		inst, err := find(path)
		if err == nil {
			return inst, nil
		}
		if !errors.Is(err, ErrReplaced) {
			return nil, fmt.Errorf("pid file %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("pid file %s: %w", path, ErrReplaced)
}

func find(path string) (*Instance, error) {
	file, _, err := openTrusted(path, sys.TrustedOpen{Flags: os.O_RDONLY, Regular: true})
	if errors.Is(err, fs.ErrNotExist) {
		if v, ok := lost(path); ok {
			return &Instance{Path: path, State: Running, PID: v.pid, proc: v.proc}, nil
		}
		return &Instance{Path: path, State: Absent, Why: err}, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	owner, err := secure(file)
	if err != nil {
		return nil, err
	}
	v, err := judge(file, owner)
	if err != nil {
		return nil, err
	}
	inst := &Instance{Path: path, State: v.state, PID: v.pid, Why: v.why}
	if v.state == Running {
		inst.proc = v.proc
		return inst, nil
	}
	if err := v.close(); err != nil {
		return nil, err
	}
	if v.state == Dead {
		// Where locks cannot be asked for (gVisor), a start in progress looks dead. To try the lock
		// instead could make that very start fail. A lock for reading is no start: it is what the
		// dead one has left, or anybody's who may read the file.
		locked, err := sys.WriteLocked(file)
		if sys.IfSupported(err) != nil {
			return nil, err
		}
		if locked {
			inst.State, inst.Why = Starting, fmt.Errorf("somebody holds the lock, but %w", v.why)
		}
	}
	return inst, nil
}

// signal is Signal.
func (i *Instance) signal(sig sys.Signal) error {
	if i.proc == nil {
		return i.refuse("signal")
	}
	err := i.proc.Signal(sig)
	if errors.Is(err, sys.ESRCH) {
		err = os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", i.PID, err)
	}
	return nil
}

// Wait returns nil as soon as the process, which must be Running, has ended;
// earlier if ctx ends, with its cause.
func (i *Instance) Wait(ctx context.Context) error {
	if i.proc == nil {
		return i.refuse("wait for")
	}
	if err := i.proc.Wait(ctx); err != nil {
		return fmt.Errorf("wait for process %d: %w", i.PID, err)
	}
	return nil
}

func (i *Instance) refuse(what string) error {
	if i.Why == nil {
		return fmt.Errorf("pid file %s: %s process %d: %w", i.Path, what, i.PID, ErrNotRunning)
	}
	return fmt.Errorf("pid file %s: %s process: %w: %w", i.Path, what, ErrNotRunning, i.Why)
}

// Close lets go of the process; the other methods refuse from then on.
func (i *Instance) Close() error {
	p := i.proc
	if p == nil {
		return nil
	}
	i.proc = nil
	return p.Close()
}
