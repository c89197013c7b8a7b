package supervise

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// What is signalled here is one of these, and nothing else is:
//
//   - a child of ours that has not been reaped (signalOwn): its pid cannot belong to another process, because
//     only the owner reaps (reapAll), and what it reaps it forgets in the same step;
//   - a process that an earlier supervisor has left, held by a pidfd since its identity was proved (signalOwn, heir);
//   - the process group of such a child, which leads it (signalGroup);
//   - a process that is not our child, held by a pidfd, if its start time is that with which it was found (signalOther).

// errNotOurs refuses a pid that is no child of ours that waits to be reaped. It is a mistake of
// ours.
var errNotOurs = errors.New("not a child of the supervisor")

// signalOwn signals a child that has not been reaped, or a process that was inherited.
func (e *Engine) signalOwn(pid int, sig syscall.Signal) error {
	if held, err := e.signalHeir(pid, sig); held {
		return err
	}
	if pid <= 1 || !e.isChild(pid) {
		return fmt.Errorf("signal process %d: %w", pid, errNotOurs)
	}
	return e.kernel.signal(pid, sig)
}

// signalGroup signals the process group that a child leads which has not been reaped.
func (e *Engine) signalGroup(leader int, sig syscall.Signal) error {
	if leader <= 1 || !e.isChild(leader) {
		return fmt.Errorf("signal process group %d: %w", leader, errNotOurs)
	}
	return e.kernel.signalGroup(leader, sig)
}

// signalOther signals a process that was found as stat. ESRCH: it is gone.
func signalOther(stat sys.ProcStat, sig syscall.Signal) error {
	p, err := sys.Pin(stat.PID)
	if err != nil {
		return err
	}
	defer p.Close()
	id, err := p.Identity()
	if err != nil {
		return err
	}
	if id.Start != stat.StartTime {
		return fmt.Errorf("process %d is another one by now: %w", stat.PID, syscall.ESRCH)
	}
	return p.Signal(sig)
}
