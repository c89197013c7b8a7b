package sys

import "time"

// Activity follows what a process and all that it started do, from look to look. A process whose
// parent has ended is still followed. Make it with NewActivity; one goroutine at a time.
type Activity struct {
	root  int
	turn  uint // counts looks
	procs map[int]*followed
	next  []int // to be looked at in this turn
	done  Doing
	buf   []byte
}

// Doing is what a look has found.
type Doing struct {
	// Running says that at this moment a thread runs, waits for a processor, or waits for a disk or
	// the like (states R and D of proc(5)); or that the process itself has ended, or is about to.
	Running bool
	// Used is the processor time used since the look before; 0 at the first.
	Used time.Duration
	// Waited is the longest that one of the threads has waited for a processor since the look
	// before; 0 at the first, and where the kernel does not tell (no CONFIG_SCHED_INFO). What is
	// still being waited for is told when it is over.
	Waited time.Duration
	// Changed says that processes, threads or, since Linux 6.2, descriptors have become more or
	// fewer since the look before. True at the first.
	Changed bool
	Threads int
}

// followed is what is known of a process since the last look.
type followed struct {
	start   uint64
	turn    uint
	files   int64
	threads map[int]thread
}

type thread struct {
	used, waited time.Duration
	turn         uint
}

// NewActivity follows process pid and its descendants. Nothing is read yet, and nothing has to be
// closed.
func NewActivity(pid int) *Activity {
	return &Activity{root: pid, procs: map[int]*followed{}}
}

// Look looks. more are processes to follow besides, such as those of a control group. The error
// wraps ErrHidden when one of them may not be looked at, and errors.ErrUnsupported where the kernel
// does not tell (other systems than Linux; Linux without CONFIG_PROC_CHILDREN).
func (a *Activity) Look(more []int) (Doing, error) { return a.look(more) }

// Processes are those that the last look has found.
func (a *Activity) Processes() []int {
	list := make([]int, 0, len(a.procs))
	for pid := range a.procs {
		list = append(list, pid)
	}
	return list
}
