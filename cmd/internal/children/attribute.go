package children

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/proctree"
	"github.com/daemonry/daemonry/internal/sys"
)

// attribute says which unit a child that we did not start belongs to: by its control group, by
// having been a descendant when the stop began, by its session, which the unit's main process leads
// or led, by the invocation id in the environment it was started with, or by printing into the
// service's log. What has rid itself of all of that and whose parents are gone can be known by a
// control group only.
func (t *Table) attribute(stat sys.ProcStat) (*Unit, error) {
	pid := stat.PID
	if u, err := t.groupOwner(pid); u != nil || err != nil {
		return u, err
	}
	if u := t.expected[pid]; u != nil && u.expected[pid] == stat.StartTime {
		return u, nil
	}
	if u := t.bySession(stat); u != nil {
		return u, nil
	}
	id, err := t.kernel.invocation(pid)
	if errors.Is(err, os.ErrPermission) {
		return nil, nil // it has changed its user, and we are not root
	}
	if err != nil {
		return nil, err
	}
	return t.bySigns(id, pid), nil
}

// bySession is the unit whose main process leads the session of a process, or led it. Who leads it
// and is no main process is another one: all of the unit's session have ended, and its number was
// given again, perhaps to a process of ours that is just being started.
func (t *Table) bySession(stat sys.ProcStat) *Unit {
	if stat.PID == stat.Session {
		return nil
	}
	return t.sessions[stat.Session]
}

// bySigns is the unit that was started with an invocation id, or into whose output pid prints.
func (t *Table) bySigns(invocation string, pid int) *Unit {
	if u := t.invocations[invocation]; u != nil {
		return u
	}
	for _, output := range t.kernel.Outputs(pid) {
		if u := t.outputs[output]; u != nil {
			return u
		}
	}
	return nil
}

// groupOwner returns the unit in whose control group a process is, nil if it is in none.
func (t *Table) groupOwner(pid int) (*Unit, error) {
	path, err := t.kernel.Cgroup(pid)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) {
		return nil, syscall.ESRCH
	}
	if err != nil {
		return nil, err
	}
	if t.Expecting() && cgroup.OfCommand(path) {
		return nil, nil // perhaps a command that is just being started
	}
	_, invocation := cgroup.StartAt(path)
	u := t.invocations[invocation] // "" is nobody's
	if u == nil || !u.group.Holds(path) {
		// The name alone proves nothing: whoever has a group of their own can make one of any name
		// below it.
		return nil, nil
	}
	return u, nil
}

// Role is what a process is in its unit.
type Role int

// Roles.
const (
	Main   Role = iota // the main process
	Helper             // a helper command
	Other              // any other
)

// Speaker finds the unit of a process that has said something, and its role. Nil: it is not known
// whose it is, perhaps not yet.
func (t *Table) Speaker(pid int) (*Unit, Role) {
	if !t.lives(pid) {
		// a process that is not our child, and whose number may be another's by now
		return nil, Other
	}
	if u := t.mains[pid]; u != nil {
		return u, Main
	}
	if c := t.commands[pid]; c != nil {
		return c.unit, Helper
	}
	u := t.unitOf(pid)
	if u != nil && u.starting {
		return nil, Other // perhaps its main process, of which we shall hear
	}
	return u, Other
}

// unitOf finds the unit among whose descendants pid is.
func (t *Table) unitOf(pid int) *Unit {
	if u, _ := t.groupOwner(pid); u != nil {
		return u
	}
	var found *Unit
	// What cannot be seen is nobody's.
	_, _ = proctree.Descends(pid, t.kernel.Stat, func(pid int) bool {
		if found = t.mains[pid]; found == nil || !t.lives(pid) {
			found = t.leftovers[pid]
		}
		return found != nil
	}, func(stat sys.ProcStat) bool {
		found = t.bySession(stat)
		return found != nil
	})
	return found
}

// Proof returns what tells whether a process is provably of u: by the control group, the session or
// a parent, or by having inherited the invocation id. It may be called by any goroutine.
func (t *Table) Proof(u *Unit) func(pid int) bool {
	main, session, group, invocation, kernel := u.pid, u.session, u.group, u.invocation, t.kernel
	return func(pid int) bool {
		if path, err := kernel.Cgroup(pid); err == nil && group.Holds(path) {
			return true
		}
		descends, err := proctree.Descends(pid, kernel.Stat,
			func(pid int) bool { return pid == main },
			func(stat sys.ProcStat) bool { return stat.Session == session })
		if descends && err == nil {
			return true
		}
		id, err := kernel.invocation(pid)
		return err == nil && id == invocation && id != ""
	}
}

// ChangeMain makes another process of u its main one, which the service has named: at once if it is
// a child of ours by now, else when the present one has ended, which makes it one.
func (t *Table) ChangeMain(u *Unit, pid int) {
	if u.pid == 0 || pid == u.pid || t.commands[pid] != nil || t.unitOf(pid) != u {
		return
	}
	if u.adopted {
		t.changeAdopted(u, pid)
		return
	}
	u.nextMain = pid
	if !t.Look(u) || t.leftovers[pid] != u {
		return
	}
	old := u.pid
	delete(t.mains, old)
	t.takeMain(u)
	t.keep(old, u)
}

// takeMain puts the process that the service has named in the place of its main one.
func (t *Table) takeMain(u *Unit) {
	t.drop(u.nextMain)
	u.pid, u.nextMain = u.nextMain, 0
	u.identity = t.kernel.Identify(u.pid)
	t.mains[u.pid] = u
	u.Service.MainChanged()
}

// InvocationVariable is what the variable of the invocation id begins with (systemd.exec(5)).
const InvocationVariable = "INVOCATION_ID="

// Variable returns the value of the first variable in environ that begins with prefix, "NAME=".
func Variable(environ []string, prefix string) (string, bool) {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, prefix); ok {
			return v, true
		}
	}
	return "", false
}

func (id Identity) String() string { return "process " + strconv.Itoa(id.PID) }
