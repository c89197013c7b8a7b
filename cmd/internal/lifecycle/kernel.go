package lifecycle

import (
	"context"
	"math/rand/v2"
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

// Kernel is what a service needs of the system, for tests to replace.
type Kernel struct {
	children.Kernel
	Start       func(context.Context, *spawn.Spec) (int, error)
	Ignores     func(pid int, sig syscall.Signal) bool // false also where it cannot be seen
	OOMKills    func() (uint64, error)                 // since boot, of the whole system
	Random      func() float64
	Connections func([]spec.Socket, []int) (int, error) // to listening sockets, at this moment
	Looks       func(pid int, members func() []int) probe.Looks
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

// RealKernel is the system itself.
func RealKernel() Kernel {
	return Kernel{
		Kernel:      children.RealKernel(),
		Start:       spawn.Start,
		Ignores:     ignoresSignal,
		OOMKills:    sys.OOMKills,
		Random:      rand.Float64,
		Connections: socket.Connections,
		Looks:       probe.LooksAt,
	}
}

// sigKill is SIGKILL as the API has it.
const sigKill spec.Signal = "KILL"

// ranOutOfMemory says whether the kernel has ended a service for want of memory, as far as can be
// known. Where memory is limited by its control group, that counts, even if how the main process
// ended is unknown; elsewhere only that somebody was killed for it since this was last asked, which
// is a good guess about a process that was killed and not by us.
func (h *Shared) ranOutOfMemory(
	group *cgroup.Group, state control.State, x *control.Exit,
) bool {
	if x.Signal != sigKill && (!x.Unknown || state == Stopping) {
		return false
	}
	if kills, known := group.OOMKills(); known {
		return kills > 0
	}
	if x.Unknown {
		return false
	}
	n, err := h.Kernel.OOMKills()
	more := err == nil && n > h.oomKills
	if err == nil {
		h.oomKills = n
	}
	return more
}
