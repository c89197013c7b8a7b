// Package children is the table of a supervisor's processes: for whom each was started, who has
// died or was left behind, and whom a signal may reach.
//
// The supervisor's process is the subreaper of its services (PR_SET_CHILD_SUBREAPER), so that
// whatever a service forks and forgets becomes a child of it. No goroutine and no thread waits for
// a child: a SIGCHLD makes the owner ask waitid(2) for all the dead at once.
//
// All methods are for the one goroutine that owns the table, the owner of its loop, unless they say
// otherwise.
package children

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// Service is whose the processes of a unit are. The table tells it what becomes of them.
type Service interface {
	Name() string
	// Died is the end of the main process.
	Died(Exit)
	// Ending says that the main process has ended, and that Died will tell how.
	Ending()
	// MainChanged says that another process is the main one now.
	MainChanged()
	// LeftoverDied is the end of a process that the main one has left behind.
	LeftoverDied()
	// CommandEnded is the end of a helper command, after who has run it was told.
	CommandEnded()
	// Refused says that a process could not be signalled.
	Refused(pid int, err error)
	// Trouble tells what could not be seen or done.
	Trouble(error)
}

// Unit is one run of a service: its main process and all that has come of it, however it hides. The
// zero value with a Service has none.
type Unit struct {
	Service Service
	// Killing has what is found of it from here on killed at once.
	Killing bool

	invocation string        // its INVOCATION_ID, by which escaped descendants are known
	group      *cgroup.Group // nil where there is none
	output     sys.FileID    // what its main process prints into
	session    int           // that the process started last led
	pid        int           // of the main process, 0 if there is none
	identity   Identity      // of it, or of the one before it
	nextMain   int           // announced by MAINPID=, to be the main process when this one ends
	starting   bool          // the main process is being started, and the pid not known yet
	// started by an earlier supervisor: what it leaves behind are no children of ours
	adopted  bool
	commands map[*Command]struct{}

	// processes that outlive, or have given up, the main one's place
	leftovers map[int]struct{}
	// descendants when the stop began, with their start times
	expected map[int]uint64
	// the last step of the schedule that each leftover has had its signal of
	reached map[int]int
}

// PID is the main process, 0 if there is none.
func (u *Unit) PID() int { return u.pid }

// Identity is that of the main process, or, when that has ended, of the last one.
func (u *Unit) Identity() Identity { return u.identity }

// Session is the one that the main process has led.
func (u *Unit) Session() int { return u.session }

// Invocation is the id of the start, "" if there was none since Renounce.
func (u *Unit) Invocation() string { return u.invocation }

// Group is the control group, nil if there is none.
func (u *Unit) Group() *cgroup.Group { return u.group }

// Output is the file that the main process prints into, for Prints.
func (u *Unit) Output() sys.FileID { return u.output }

// Starting says whether its start is under way.
func (u *Unit) Starting() bool { return u.starting }

// Adopted says whether it was started by an earlier supervisor.
func (u *Unit) Adopted() bool { return u.adopted }

// Busy says whether helper commands of it run.
func (u *Unit) Busy() bool { return len(u.commands) > 0 }

// mayStart says whether a process may be one of u that is being started, whose pid is not known
// yet: the main one, or a helper command. That is in our session, or leads one of its own, which
// may have the number of the main process's: in the session of that is only who was born there.
func (u *Unit) mayStart(stat sys.ProcStat) bool {
	if u.starting {
		return true
	}
	leads := stat.PID == stat.Session
	if stat.PID == u.nextMain || u.session != 0 && stat.Session == u.session && !leads {
		return false
	}
	for c := range u.commands {
		if c.pid == 0 {
			return true
		}
	}
	return false
}

// HasLeftovers says whether processes are known that its main process has left behind.
func (u *Unit) HasLeftovers() bool { return len(u.leftovers) > 0 }

// Exit is what the kernel says of a dead process.
type Exit struct {
	Status  syscall.WaitStatus
	Unknown bool // it was no child of ours: Status says nothing
	Usage   syscall.Rusage
	At      time.Time
}

// Table has the processes. No pid is in it that could be another process's: that of a child is its
// own until it is reaped, and only the table reaps; what is no child is held by a pidfd.
type Table struct {
	kernel  *Kernel
	loop    *loop.Loop
	groups  *cgroup.Set
	trouble func(error)

	mains       map[int]*Unit
	sessions    map[int]*Unit
	invocations map[string]*Unit
	outputs     map[sys.FileID]*Unit
	expected    map[int]*Unit // descendants of units that are being ended
	commands    map[int]*Command
	programs    map[int]*Program
	// children that we did not start, with whose they are; nil for nobody's
	leftovers map[int]*Unit
	births    births
	adoptions adoptions
	survey    survey
}

// New makes a table. What is in the way of the table itself is told to trouble.
func New(kernel *Kernel, l *loop.Loop, trouble func(error)) *Table {
	return &Table{
		kernel: kernel, loop: l, trouble: trouble,
		mains: map[int]*Unit{}, sessions: map[int]*Unit{}, invocations: map[string]*Unit{},
		outputs:  map[sys.FileID]*Unit{},
		expected: map[int]*Unit{}, commands: map[int]*Command{}, programs: map[int]*Program{},
		leftovers: map[int]*Unit{}, births: newBirths(),
		adoptions: adoptions{byPID: map[int]*adopted{}, byKey: map[uint64]*adopted{}},
	}
}

// UseGroups has units that are announced from here on have control groups.
func (t *Table) UseGroups(groups *cgroup.Set) { t.groups = groups }

// Idle says whether no birth and no helper command is under way.
func (t *Table) Idle() bool { return !t.Expecting() && len(t.commands) == 0 }

// Close lets go of the processes that are no children.
func (t *Table) Close() error { return t.adoptions.close() }

// Announce gives a unit what it is known by before its main process is there, so that a successor
// who does not know the pid can find it: a new invocation id and, below parent, a control group,
// which is not made yet.
func (t *Table) Announce(u *Unit, parent string) {
	t.Renounce(u)
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	u.invocation = hex.EncodeToString(id[:])
	t.invocations[u.invocation] = u
	u.group = t.groups.For(parent).Group(u.Service.Name(), u.invocation)
	u.starting = true
}

// Renounce takes back what Announce has said: there is no process.
func (t *Table) Renounce(u *Unit) {
	if t.invocations[u.invocation] == u {
		delete(t.invocations, u.invocation)
	}
	u.invocation, u.adopted, u.nextMain = "", false, 0
}

// Announced says whether a unit has that invocation id.
func (t *Table) Announced(invocation string) bool { return t.invocations[invocation] != nil }

// Prints says that nobody else prints into what u prints into: whoever does is one of its
// processes.
func (t *Table) Prints(u *Unit, output sys.FileID) {
	if u.output = output; output != (sys.FileID{}) {
		t.outputs[output] = u
	}
}

// Forget ends a unit of which nothing is left; Renounce follows. The error says why its control
// group is still there.
func (t *Table) Forget(u *Unit) error {
	if t.sessions[u.session] == u { // else the number has been given to another one's since
		delete(t.sessions, u.session)
	}
	if t.outputs[u.output] == u { // else another unit of the service has it
		delete(t.outputs, u.output)
	}
	for pid := range u.expected {
		if t.expected[pid] == u {
			delete(t.expected, pid)
		}
	}
	err := u.group.Remove()
	u.leftovers, u.expected, u.reached, u.session, u.group = nil, nil, nil, 0, nil
	return err
}

// errNotChild refuses a pid that is no child of ours that waits to be reaped. It is a mistake of
// ours.
var errNotChild = errors.New("not a child of the supervisor")
