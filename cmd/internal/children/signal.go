package children

import (
	"fmt"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// What is signalled here is one of these, and nothing else is:
//
//   - a child of ours that has not been reaped (signal): its pid cannot belong to another process,
//     because only Reap reaps, and what it reaps it forgets in the same step;
//   - a process that was adopted, held by a pidfd since its identity was proved (signal, adopted);
//   - the process group of such a child, which leads it (signalGroup);
//   - a process that is not our child, held by a pidfd, if its start time is that with which it was
//     found (signalFound).

// Signal signals the main process of u.
func (t *Table) Signal(u *Unit, sig syscall.Signal) error { return t.signal(u.pid, sig) }

// signal signals a child that has not been reaped, or a process that was adopted.
func (t *Table) signal(pid int, sig syscall.Signal) error {
	if a := t.adoptions.byPID[pid]; a != nil {
		return a.Signal(sig)
	}
	if pid <= 1 || !t.isChild(pid) {
		return fmt.Errorf("signal process %d: %w", pid, errNotChild)
	}
	return t.kernel.Signal(pid, sig)
}

// signalGroup signals the process group that a child leads which has not been reaped.
func (t *Table) signalGroup(leader int, sig syscall.Signal) error {
	if leader <= 1 || !t.isChild(leader) {
		return fmt.Errorf("signal process group %d: %w", leader, errNotChild)
	}
	return t.kernel.SignalGroup(leader, sig)
}

// signalFound signals a process that was found as stat. ESRCH: it is gone.
func signalFound(stat sys.ProcStat, sig syscall.Signal) error {
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
