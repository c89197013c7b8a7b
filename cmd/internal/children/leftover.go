package children

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// Leftovers are the processes of a unit that outlive its main process. When that ends, they become
// children of ours, if they are not already.

// Look looks for what was left behind, and says whether it could.
func (t *Table) Look(u *Unit) bool {
	err := t.collect()
	if err != nil {
		u.Service.Trouble(fmt.Errorf("look for processes left behind: %w", err))
	}
	return err == nil
}

// Left are the processes of u but the main one, with whether a process is known by its control
// group alone: then nobody tells us its end.
func (t *Table) Left(u *Unit) map[int]bool {
	left := map[int]bool{}
	pids, err := u.group.Members()
	if err != nil {
		u.Service.Trouble(fmt.Errorf("processes of control group: %w", err))
	}
	for _, pid := range pids {
		if pid != u.pid {
			left[pid] = true
		}
	}
	for pid := range u.leftovers {
		left[pid] = false
	}
	return left
}

// Empty says whether no process of u is there any more. What cannot be looked at may be there.
func (t *Table) Empty(u *Unit) bool {
	if len(u.leftovers) > 0 || len(u.commands) > 0 {
		return false
	}
	populated, err := u.group.Populated()
	if err != nil {
		u.Service.Trouble(fmt.Errorf("processes of control group: %w", err))
	}
	return err == nil && !populated
}

// SignalLeft signals what is left behind and has not had the signal of this step, and returns how
// many that are. SIGKILL may be sent any number of times.
func (t *Table) SignalLeft(u *Unit, step int, sig syscall.Signal) int {
	n := 0
	for pid, member := range t.Left(u) {
		if sig != syscall.SIGKILL && u.reached[pid] >= step {
			continue
		}
		u.reach(pid, step)
		signal := t.signal
		if member {
			signal = u.group.Signal
		}
		if err := signal(pid, sig); err != nil {
			u.Service.Refused(pid, err)
			continue
		}
		n++
		if sig != syscall.SIGKILL {
			// A stopped process takes no signal but KILL before it is continued. That it is gone
			// was noticed with the signal itself.
			_ = signal(pid, syscall.SIGCONT)
		}
	}
	if sig == syscall.SIGKILL {
		t.killGroup(u)
	}
	return n
}

// SignalRest signals every process of u but the main one that has not had the signal of this step:
// those that are our children by now, and its descendants, each known by its pid and start time
// from a moment ago (Remember). It returns how many of the first there are.
func (t *Table) SignalRest(u *Unit, step int, sig syscall.Signal) int {
	t.Look(u)
	n := t.SignalLeft(u, step, sig)
	for pid, start := range u.expected {
		if u.reached[pid] < step {
			u.reach(pid, step)
			// what has ended meanwhile needs none
			_ = t.kernel.SignalFound(sys.ProcStat{PID: pid, StartTime: start}, sig)
		}
	}
	return n
}

func (u *Unit) reach(pid, step int) {
	if u.reached == nil {
		u.reached = map[int]int{}
	}
	u.reached[pid] = step
}

// killGroup kills what is left in the control group of u. A helper command in it may come to its
// end.
func (t *Table) killGroup(u *Unit) {
	if u.group == nil {
		return
	}
	kill := u.group.Kill
	if len(u.commands) > 0 {
		kill = u.group.KillEach
	}
	if err := kill(); err != nil && !cgroup.IsRemoved(err) {
		u.Service.Trouble(fmt.Errorf("kill control group: %w", err))
	}
}

// Remember notes the descendants of the main process while the links between them stand.
func (t *Table) Remember(u *Unit) {
	list := t.kernel.Descendants(u.pid)
	if !t.lives(u.pid) {
		return // it was not our child, and whose descendants those are is not known
	}
	for _, stat := range list {
		t.expect(u, stat.PID, stat.StartTime)
	}
}

func (t *Table) expect(u *Unit, pid int, start uint64) {
	if u.expected == nil {
		u.expected = map[int]uint64{}
	}
	u.expected[pid] = start
	t.expected[pid] = u
}

// Remembered are the descendants that Remember has noted.
func (u *Unit) Remembered() (list []Identity) {
	for pid, start := range u.expected {
		list = append(list, Identity{PID: pid, Start: start})
	}
	return list
}

// leftoverDied takes note that a process left behind has ended.
func (t *Table) leftoverDied(pid int) {
	u := t.leftovers[pid]
	t.drop(pid)
	if u != nil {
		u.Service.LeftoverDied()
	}
}

// keep makes a process one that u has left behind, nil for nobody.
func (t *Table) keep(pid int, u *Unit) {
	t.leftovers[pid] = u
	if u == nil {
		return
	}
	if u.leftovers == nil {
		u.leftovers = map[int]struct{}{}
	}
	u.leftovers[pid] = struct{}{}
	if u.Killing {
		_ = t.signal(pid, syscall.SIGKILL) // it is looked at again before u is called empty
	}
}

func (t *Table) drop(pid int) {
	if u := t.leftovers[pid]; u != nil {
		delete(u.leftovers, pid)
		delete(u.reached, pid)
	}
	delete(t.leftovers, pid)
}

// collect looks for children of ours that we did not start: descendants of services whose parents
// have ended. It costs one look at a list that the kernel keeps, not one at every process.
func (t *Table) collect() error {
	children, err := t.kernel.Children()
	if err != nil {
		return err
	}
	for _, pid := range children {
		if t.mains[pid] != nil || t.commands[pid] != nil || t.programs[pid] != nil {
			continue
		}
		if _, known := t.leftovers[pid]; known {
			continue
		}
		stat, err := t.kernel.Stat(pid)
		var u *Unit
		if err == nil {
			u, err = t.attribute(stat)
		}
		switch {
		case errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrNotExist):
			// It is dead, and about to be reaped.
		case err != nil:
			return err
		case u == nil && t.Expecting(), u != nil && u.mayStart(stat):
			// Perhaps one that is just being started: asked again next time.
		default:
			t.keep(pid, u)
		}
	}
	return nil
}

// Memory returns what tells how much all processes of u have in memory: the main one, its
// descendants, and those that have become ours. It may be called by any goroutine.
func (t *Table) Memory(u *Unit) func() (int64, error) {
	kernel, main, leftovers := t.kernel, u.pid, slices.Collect(maps.Keys(u.leftovers))
	return func() (int64, error) {
		sum, err := kernel.Memory(main)
		if err != nil {
			return 0, err
		}
		add := func(pid int) {
			n, _ := kernel.Memory(pid) // one that has ended meanwhile uses none
			sum += n
		}
		for _, stat := range kernel.Descendants(main) {
			add(stat.PID)
		}
		for _, pid := range leftovers {
			add(pid)
		}
		return sum, nil
	}
}
