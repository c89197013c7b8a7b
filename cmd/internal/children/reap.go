package children

import (
	"errors"
	"maps"
	"slices"
	"syscall"
)

// Reap takes in every dead child: main processes, helper commands, programs and leftovers.
//
// The pid of a child that has not been reaped cannot be given to another process. So that a pid in
// the table is always safe to signal, only this reaps, and no child before it is known whose it is:
// one that may be of a birth that has not told its pid yet stays a zombie until it has.
//
// To find that nobody is dead the kernel looks at every child (wait_consider_task in
// kernel/exit.c): with thousands of them it is not to be asked without a reason.
func (t *Table) Reap() {
	t.births.unseen = true
	for {
		pid, err := t.kernel.Dead()
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			t.reapKnown()
			return
		case errors.Is(err, syscall.ECHILD) || err == nil && pid == 0:
			// whoever was dead has been reaped by those who failed to start it
			clear(t.births.unclaimed)
			t.births.unseen = false
			return
		case err != nil:
			t.trouble(err)
			return
		case !t.isChild(pid) && t.births.mayBe(pid):
			t.reapKnown() // the kernel shows us only the first of the dead
			return
		}
		if !t.reap(pid) {
			return
		}
	}
}

// reapKnown asks after each child that is known, one by one.
func (t *Table) reapKnown() {
	for _, pid := range slices.Concat(
		slices.Collect(maps.Keys(t.mains)), slices.Collect(maps.Keys(t.commands)),
		slices.Collect(maps.Keys(t.leftovers)), slices.Collect(maps.Keys(t.programs)),
	) {
		if t.isChild(pid) {
			t.reap(pid)
		}
	}
}

// isChild says whether pid is known as that of a child that has not been reaped. What was adopted
// is none, and if its number belongs to a child by now, to one that nobody knows yet.
func (t *Table) isChild(pid int) bool {
	if t.adoptions.byPID[pid] != nil {
		return false
	}
	_, left := t.leftovers[pid]
	return left || t.mains[pid] != nil || t.commands[pid] != nil || t.programs[pid] != nil
}

// reap takes in one child, and says whether it was dead.
func (t *Table) reap(pid int) bool {
	x, ok, err := t.kernel.Reap(pid)
	if errors.Is(err, syscall.ECHILD) && !t.isChild(pid) {
		// by who failed to start it: the runtime reaps a child that could not execute its program
		// (forkExec)
		return true
	}
	if err != nil {
		t.trouble(err)
	}
	if ok {
		delete(t.births.unclaimed, pid)
		t.died(pid, x)
	}
	return ok
}

// died finds out whose process that was.
func (t *Table) died(pid int, x Exit) {
	if !t.isChild(pid) {
		return
	}
	if u := t.mains[pid]; u != nil {
		delete(t.mains, pid)
		t.mainDied(u, x)
		return
	}
	if c := t.commands[pid]; c != nil {
		t.commandDied(c, x)
		return
	}
	if p := t.programs[pid]; p != nil {
		delete(t.programs, pid)
		close(p.Exited)
		return
	}
	t.leftoverDied(pid)
}

// mainDied puts the process in the place of the main one that was announced for that.
func (t *Table) mainDied(u *Unit, x Exit) {
	if u.nextMain != 0 && t.Look(u) && t.leftovers[u.nextMain] == u {
		t.takeMain(u)
		return
	}
	u.Service.Died(x)
}

// Gone takes the main process of u out of the table, of which Died has told.
func (u *Unit) Gone() { u.pid = 0 }
