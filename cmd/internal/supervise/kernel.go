package supervise

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// kernel is what the engine needs of the system, for tests to replace.
type kernel struct {
	children.Kernel
	start       func(context.Context, *spawn.Spec) (int, error)
	ignores     func(pid int, sig syscall.Signal) bool  // false also where it cannot be seen
	oomKills    func() (uint64, error)                  // since boot, of the whole system
	watch       func() (<-chan struct{}, func(), error) // of dead children
	random      func() float64
	connections func([]spec.Socket, []int) (int, error) // to listening sockets, at this moment
	looks       func(pid int, members func() []int) probe.Looks
}

func ignoresSignal(pid int, sig syscall.Signal) bool {
	status, err := sys.ReadStatus(pid)
	return err == nil && status.Ignored.Has(sig)
}

// ownPeak is the peak of a child's memory if it can be told, else 0. At execve(2) the kernel counts
// what the process was before (setmax_mm_hiwater_rss in exec_mmap, fs/exec.c), which after vfork(2)
// is us. What exceeds our own peak is the program's.
func ownPeak[N int32 | int64](peak N) int64 {
	if own, err := sys.PeakMemory(); err != nil || int64(peak) <= own {
		return 0
	}
	return int64(peak)
}

// realKernel is the system itself.
func realKernel() kernel {
	return kernel{
		Kernel:      children.RealKernel(),
		start:       spawn.Start,
		ignores:     ignoresSignal,
		oomKills:    sys.OOMKills,
		watch:       watchChildren,
		random:      rand.Float64,
		connections: socket.Connections,
		looks:       probe.LooksAt,
	}
}

// sigKill is SIGKILL as the API has it.
const sigKill spec.Signal = "KILL"

// ranOutOfMemory says whether the kernel has ended a service for want of memory, as far as can be known.
// Where memory is limited by its control group, that counts, even if how the main process ended is
// unknown; elsewhere only that somebody was killed for it since this was last asked, which is a
// good guess about a process that was killed and not by us.
func (e *Engine) ranOutOfMemory(group *cgroup.Group, state control.State, x *control.Exit) bool {
	if x.Signal != sigKill && (!x.Unknown || state == Stopping) {
		return false
	}
	if kills, known := group.OOMKills(); known {
		return kills > 0
	}
	if x.Unknown {
		return false
	}
	n, err := e.kernel.oomKills()
	more := err == nil && n > e.oomKills
	if err == nil {
		e.oomKills = n
	}
	return more
}

// watchChildren makes orphans ours and tells when a child has died.
func watchChildren() (<-chan struct{}, func(), error) {
	if err := sys.BecomeSubreaper(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, err
	}
	signals := make(chan os.Signal, 1) // one is enough: each makes us look for all
	signal.Notify(signals, syscall.SIGCHLD)
	died := make(chan struct{})
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case died <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return died, func() { signal.Stop(signals); close(done) }, nil
}
