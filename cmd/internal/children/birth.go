package children

import (
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/internal/sys"
)

// births are the starts under way, of services and of their commands. Between the fork and the
// moment at which the owner hears of the pid, the process may already have spoken or died. What
// cannot be told from that is kept until it can: the dead in the kernel, and messages by whoever
// receives them.
type births struct {
	expected  int                 // asked for, and not told yet
	begun     uint64              // counts those that have begun to work
	running   map[uint64]struct{} // of those, the ones whose pid is not known yet
	unclaimed map[int]uint64      // dead children that nobody knows, with begun when first seen
	// there may be more dead children, which have been signalled and not been taken in
	unseen bool
}

func newBirths() births {
	return births{running: map[uint64]struct{}{}, unclaimed: map[int]uint64{}}
}

// mayBe says whether a dead child may be of a start whose pid is not known yet: of one that was
// running when the child was first seen dead.
func (b *births) mayBe(pid int) bool {
	seen, ok := b.unclaimed[pid]
	if !ok {
		seen = b.begun
		b.unclaimed[pid] = seen
	}
	for number := range b.running {
		if number <= seen {
			return true
		}
	}
	return false
}

// Birth is a process that is being started. Of it Main, Started, Program or None is called once.
type Birth struct {
	t      *Table
	number uint64
}

// Expect begins a birth.
func (t *Table) Expect() *Birth {
	t.births.expected++
	return &Birth{t: t}
}

// Expecting says whether births are under way: an unknown process may be one of those.
func (t *Table) Expecting() bool { return t.births.expected > 0 }

// Do has f start the process away from the owner, and the owner do what f returns, a call that says
// what came of it.
func (b *Birth) Do(f func() func()) {
	b.t.loop.Do(loop.Job{Birth: true, Begin: b.begin, Do: func() func() { return b.over(f()) }})
}

// DoApart is Do for what must not wait for a place among other births.
func (b *Birth) DoApart(f func() func()) {
	b.begin()
	go func() { b.t.loop.Post(b.over(f())) }()
}

func (b *Birth) begin() {
	b.t.births.begun++
	b.number = b.t.births.begun
	b.t.births.running[b.number] = struct{}{}
}

func (b *Birth) over(then func()) func() {
	return func() {
		then()
		delete(b.t.births.running, b.number)
		if b.t.births.unseen {
			b.t.Reap() // it may have died before it was known
		}
	}
}

// known says that a birth has this pid, 0 for none.
func (b *Birth) known(pid int) {
	b.t.births.expected--
	if pid != 0 {
		b.t.release(pid)
		b.t.drop(pid) // it may have been taken for something left behind
	}
}

// None says that there is no process. The unit, if it was to be the main process of one, is not
// starting any more.
func (b *Birth) None(u *Unit) {
	b.known(0)
	if u != nil {
		u.starting = false
	}
}

// Main says that the main process of u runs, and what it prints into. Who the process is was asked
// where it was born: that is true if the pid has not been reaped yet.
func (b *Birth) Main(u *Unit, id Identity, output sys.FileID) {
	b.known(id.PID)
	t := b.t
	u.starting = false
	u.pid, u.session, u.identity, u.output = id.PID, id.PID, id, output
	t.mains[u.pid], t.sessions[u.session] = u, u
}

// Started says that a helper command runs, whose limit begins now.
func (b *Birth) Started(c *Command, pid int) {
	b.known(pid)
	c.pid = pid
	b.t.commands[pid] = c
	if c.ended != nil {
		b.t.EndCommand(c)
		return
	}
	c.timer = time.AfterFunc(c.limit, func() {
		b.t.loop.Post(func() {
			if b.t.commands[pid] == c {
				c.ended = errCommandLate
				b.t.EndCommand(c)
			}
		})
	})
}

// Failed says that a helper command could not be started.
func (b *Birth) Failed(c *Command, err error) {
	b.known(0)
	c.over(err)
}

// Program says that a program runs that belongs to no unit, and outlives those it serves.
func (b *Birth) Program(pid int) *Program {
	b.known(pid)
	p := &Program{PID: pid, Exited: make(chan struct{})}
	b.t.programs[pid] = p
	return p
}
