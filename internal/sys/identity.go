package sys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// BarePidfd is a pidfd as a bare descriptor number, for those who hold thousands: it costs no
// os.File and no place in the runtime's poller. An ExitWatch waits for it. See PidfdOpen for what a
// pidfd is.
type BarePidfd int

// Close closes the descriptor. An ExitWatch forgets it by that.
func (p BarePidfd) Close() error { return CloseFD(int(p)) }

// ExitEvent says what became of a process.
type ExitEvent struct {
	Key    uint64 // as given to Add
	Reaped bool   // its parent has taken note: the exit status, if the kernel tells it, is there
}

// Identity names one process for ever. A pid alone is used again, a pid with a
// start time is used again after a reboot; the three together are not.
type Identity struct {
	Boot  string // BootID
	PID   int
	Start uint64 // ProcStat.StartTime
}

// Identify returns the identity of the process that has this pid now. A zombie
// counts as gone (ESRCH): it runs nothing and answers no signal.
func Identify(pid int) (Identity, error) {
	s, err := ReadStat(pid)
	if err != nil {
		return Identity{}, err
	}
	if s.Exited() {
		err := fmt.Errorf("process %d has ended and waits to be reaped: %w", pid, ESRCH)
		return Identity{}, err
	}
	boot, err := BootID()
	if err != nil {
		return Identity{}, err
	}
	return Identity{Boot: boot, PID: pid, Start: s.StartTime}, nil
}

// Process is one process held fast: whatever becomes of its pid, Signal and
// Wait concern this process or nobody. Close it after use.
//
// On Linux 5.3 and later it rests on a pidfd. Elsewhere, and where a sandbox
// forbids pidfd_open, Signal compares the start time directly before kill(2);
// the pid could in theory be used again in the microseconds between.
type Process struct {
	PID   int
	pidfd *os.File // nil: no pidfd here

	identity    Identity
	identityErr error
}

// Pin holds the process that has this pid now. The error wraps ESRCH
// when there is none.
func Pin(pid int) (*Process, error) {
	p := &Process{PID: pid}
	var err error
	p.pidfd, err = PidfdOpen(pid)
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported):
		if pid <= 0 || !exists(pid) {
			return nil, fmt.Errorf("process %d: %w", pid, ESRCH)
		}
	default:
		return nil, err
	}
	// The order matters: first the descriptor, then the facts. Had the process
	// died in between and its pid been given away, the facts would be the
	// stranger's while Signal would reach nobody: harmless.
	p.identity, p.identityErr = Identify(pid)
	if errors.Is(p.identityErr, ESRCH) {
		return nil, Also(p.identityErr, p.Close())
	}
	return p, nil
}

// Identity returns who the process is, or why that cannot be told (ErrHidden,
// errors.ErrUnsupported).
func (p *Process) Identity() (Identity, error) { return p.identity, p.identityErr }

// Signal sends sig; the error wraps ESRCH when the process is gone.
func (p *Process) Signal(sig Signal) error {
	if p.pidfd != nil {
		return PidfdSendSignal(p.pidfd, sig)
	}
	if err := p.same(); err != nil {
		return err
	}
	return Kill(p.PID, sig)
}

// same says whether the pid is still that of the process pinned.
func (p *Process) same() error {
	if p.identityErr != nil {
		return p.identityErr
	}
	now, err := Identify(p.PID)
	if err == nil && now != p.identity {
		err = fmt.Errorf("process %d is another one by now: %w", p.PID, ESRCH)
	}
	return err
}

// Wait returns nil as soon as the process has ended, reaped or not, and the
// context's cause if that comes first. No thread is blocked meanwhile. Without
// a pidfd it looks every 50 ms: kill(2) offers nothing to wait for.
func (p *Process) Wait(ctx context.Context) error {
	if p.pidfd != nil {
		return PidfdWait(ctx, p.pidfd)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := p.same(); errors.Is(err, ESRCH) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Close lets go of the process.
func (p *Process) Close() error {
	if p.pidfd == nil {
		return nil
	}
	return p.pidfd.Close()
}

// PidfdID returns the number that no process but the one that has this pid now has or will have in
// this boot: the inode of its pidfd in pidfs (Linux 6.9). Before that all pidfds share one inode
// and the error wraps errors.ErrUnsupported. On 32-bit kernels the number may repeat after 4
// billion processes.
func PidfdID(pid int) (uint64, error) {
	p, err := HoldProcess(pid)
	if err != nil {
		return 0, err
	}
	id, err := p.ID()
	return id, errors.Join(err, p.Close())
}

// Kill is kill(2), which reaches whoever has the pid now. Negative and zero
// pids, which mean groups and everybody, are refused.
func Kill(pid int, sig Signal) error {
	if pid <= 0 {
		return fmt.Errorf("kill process %d: %w", pid, syscall.EINVAL)
	}
	return kill(pid, sig)
}

// exists reports whether a process has this pid. Only ESRCH says no: EPERM
// says that it is another user's.
func exists(pid int) bool { return !errors.Is(Kill(pid, 0), ESRCH) }

// Also adds a second failure to the first, on the same line.
func Also(err, second error) error {
	if second == nil {
		return err
	}
	return fmt.Errorf("%w (and %w)", err, second)
}
