package supervise

import "github.com/daemonry/daemonry/cmd/internal/loop"

// births are the starts under way, of services and of their commands. Between the fork and the
// moment at which the owner hears of the pid, the process may already have spoken or died. What
// cannot be told from that is kept until it can: messages here, the dead in the kernel.
type births struct {
	underWay  int                 // asked for, and not told yet
	begun     uint64              // counts those that have begun to work
	running   map[uint64]struct{} // of those, the ones whose pid is not known yet
	unclaimed map[int]uint64      // dead children that nobody knows, with begun when first seen
	unseen    bool                // there may be more dead children, which have been signalled and not been taken in
	unheard   []heardMessage      // messages of processes that nobody had claimed
}

func newBirths() births {
	return births{running: map[uint64]struct{}{}, unclaimed: map[int]uint64{}}
}

// mayHaveBorn says whether a dead child may be of a start whose pid is not known yet: of
// one that was running when the child was first seen dead.
func (b *births) mayHaveBorn(pid int) bool {
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

// bear does the work of a start, which is counted as under way, away from the owner. f returns what
// the owner does with the pid, the call of claim among it.
func (e *Engine) bear(f func() func()) {
	var number uint64
	e.loop.Do(loop.Job{
		Birth: true,
		Begin: func() { number = e.births.begin() },
		Do: func() func() {
			then := f()
			return func() {
				then()
				e.born(number)
			}
		},
	})
}

// begin numbers a start that begins to work.
func (b *births) begin() (number uint64) {
	b.begun++
	b.running[b.begun] = struct{}{}
	return b.begun
}

// born ends a start: its pid is known now, if there is one.
func (e *Engine) born(number uint64) {
	delete(e.births.running, number)
	if e.births.unseen {
		e.reapAll() // it may have died before it was known
	}
}

// claim says that pid, 0 if there is none, is that of a start.
func (e *Engine) claim(pid int) {
	e.births.underWay--
	if pid != 0 {
		e.yield(pid)
		e.disown(pid) // it may have been taken for something left behind
	}
}
