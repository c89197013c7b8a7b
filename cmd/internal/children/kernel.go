package children

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// Kernel is what the table needs of the system, for tests to replace.
type Kernel struct {
	Watch       func() (<-chan struct{}, func(), error)    // of dead children, until it is called
	Dead        func() (pid int, err error)                // sys.DeadChild
	Reap        func(pid int) (x Exit, ok bool, err error) // a child; not ok: it lives
	Signal      func(child int, sig syscall.Signal) error  // see signal.go
	SignalGroup func(leader int, sig syscall.Signal) error
	SignalFound func(found sys.ProcStat, sig syscall.Signal) error
	Children    func() ([]int, error) // those that we did not start, at least
	Descendants func(pid int) []sys.ProcStat
	Stat        func(pid int) (sys.ProcStat, error)
	Cgroup      func(pid int) (string, error) // as /proc/PID/cgroup has it
	Environ     func(pid int) ([]string, error)
	Outputs     func(pid int) []sys.FileID // what its standard output and error are
	Memory      func(pid int) (int64, error)

	// Of processes that are not our children.
	Identify  func(pid int) Identity // of one that is, for a successor
	Hold      func(pid int) (Handle, error)
	Exits     func(report func([]sys.ExitEvent)) (ExitWatch, error)
	Zombie    func(h Handle, pid int) (syscall.WaitStatus, bool, error)
	Processes func() ([]sys.ProcStat, error)
}

// invocation reads the invocation id from the environment that a process was started with, "" if it
// has none.
func (k *Kernel) invocation(pid int) (string, error) {
	environ, err := k.Environ(pid)
	id, _ := Variable(environ, InvocationVariable)
	return id, err
}

// RealKernel is the system itself.
func RealKernel() Kernel {
	return Kernel{
		Watch:       watchChildren,
		Dead:        sys.DeadChild,
		Reap:        reapChild,
		Signal:      sys.Kill,
		SignalGroup: sys.KillGroup,
		SignalFound: signalFound,
		Children:    adoptedChildren,
		Descendants: descendants,
		Stat:        sys.ReadStat,
		Cgroup:      cgroup.Of,
		Environ:     readEnviron,
		Outputs:     readOutputs,
		Memory:      sys.ResidentMemory,
		Identify:    identify,
		Hold:        hold,
		Exits:       watchExits,
		Zombie:      zombieStatus,
		Processes:   func() ([]sys.ProcStat, error) { return new(sys.ProcList).Read() },
	}
}

func reapChild(pid int) (Exit, bool, error) {
	status, usage, ok, err := sys.ReapChild(pid)
	return Exit{Status: status, Usage: usage, At: time.Now()}, ok, err
}

// readEnviron reads the environment that a process was started with.
func readEnviron(pid int) ([]string, error) {
	b, err := sys.Environ(pid)
	return strings.Split(string(b), "\x00"), err
}

func readOutputs(pid int) (list []sys.FileID) {
	for fd := 1; fd <= 2; fd++ {
		if file, err := sys.StatOpenFile(pid, fd); err == nil {
			list = append(list, sys.FileID{Device: file.Dev, Inode: file.Inode})
		}
	}
	return list
}

// adoptedChildren lists the children of our first thread. Orphans that a subreaper takes in are
// given to the first thread of it that lives (find_new_reaper in kernel/exit.c); the Go runtime
// never ends that one. What we start ourselves is listed with the spawner's thread, so that this
// list is short however many services run. It needs CONFIG_PROC_CHILDREN; without, nothing is
// adopted.
func adoptedChildren() ([]int, error) { return sys.ChildrenOfThread(os.Getpid(), os.Getpid()) }

// descendants lists those of pid, as far as they can be seen: it is an aid to know them again.
func descendants(pid int) (list []sys.ProcStat) {
	pids, _ := sys.DescendantsOf(pid)
	for _, pid := range pids {
		if stat, err := sys.ReadStat(pid); err == nil {
			list = append(list, stat)
		}
	}
	return list
}
