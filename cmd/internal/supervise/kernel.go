package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// kernel is what the engine needs of the system, for tests to replace.
type kernel struct {
	start       func(context.Context, *spawn.Spec) (int, error)
	dead        func() (pid int, err error)                           // sys.DeadChild
	reap        func(pid int) (status exitStatus, ok bool, err error) // a child; not ok: it lives
	signal      func(child int, sig syscall.Signal) error             // see signal.go
	signalGroup func(leader int, sig syscall.Signal) error
	signalOther func(found sys.ProcStat, sig syscall.Signal) error
	children    func() ([]int, error) // adopted ones at least
	descendants func(pid int) []sys.ProcStat
	stat        func(pid int) (sys.ProcStat, error)
	ignores     func(pid int, sig syscall.Signal) bool // false also where it cannot be seen
	cgroup      func(pid int) (string, error)          // as /proc/PID/cgroup has it
	invocation  func(pid int) (string, error)          // INVOCATION_ID of a process, "" without one
	outputs     func(pid int) []fileID                 // what its standard output and error are
	memory      func(pid int) (int64, error)
	oomKills    func() (uint64, error)                  // since boot, of the whole system
	watch       func() (<-chan struct{}, func(), error) // of dead children
	random      func() float64
	connections func([]spec.Socket, []int) (int, error) // to listening sockets, at this moment
	looks       func(pid int, members func() []int) probe.Looks

	// Of processes that are not our children.
	identify  func(pid int) identity
	hold      func(pid int) (handle, error)
	exits     func(report func([]sys.ExitEvent)) (exitWatch, error)
	zombie    func(h handle, pid int) (syscall.WaitStatus, bool, error)
	processes func() ([]sys.ProcStat, error)
	environ   func(pid int) ([]string, error)
}

func ignoresSignal(pid int, sig syscall.Signal) bool {
	status, err := sys.ReadStatus(pid)
	return err == nil && status.Ignored.Has(sig)
}

func reapChild(pid int) (exitStatus, bool, error) {
	status, usage, ok, err := sys.ReapChild(pid)
	return exitStatus{status: status, usage: usageOf(usage), at: time.Now()}, ok, err
}

func usageOf(u syscall.Rusage) Usage {
	return Usage{
		User:   time.Duration(u.Utime.Nano()),
		System: time.Duration(u.Stime.Nano()),
		MaxRSS: ownPeak(u.Maxrss) * 1024, // kilobytes on Linux (getrusage(2))
	}
}

// ownPeak is the peak of a child's memory if it can be told, else 0. At execve(2) the kernel counts
// what the process was before (setmax_mm_hiwater_rss in exec_mmap, fs/exec.c), which after vfork(2)
// is us. What exceeds our own peak is the program's.
func ownPeak[N int32 | int64](peak N) int64 {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil || int64(peak) <= int64(self.Maxrss) {
		return 0
	}
	return int64(peak)
}

// readInvocation reads INVOCATION_ID from the environment that a process was started with.
func readInvocation(pid int) (string, error) {
	environ, err := readEnviron(pid)
	id, _ := variable(environ, invocationVariable)
	return id, err
}

// mostEnviron is more than the kernel takes of arguments and environment together (execve(2): three
// quarters of 8 MiB). But a process can say later that its environment is all of its memory
// (PR_SET_MM_MAP of prctl(2)), and needs no privilege for that.
const mostEnviron = 8 << 20

// readEnviron reads the environment that a process was started with.
func readEnviron(pid int) ([]string, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostEnviron))
	return strings.Split(string(b), "\x00"), err
}

// variable returns the value of the first variable in environ that begins with prefix, "NAME=".
func variable(environ []string, prefix string) (string, bool) {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, prefix); ok {
			return v, true
		}
	}
	return "", false
}

// fileID tells files apart, as long as they exist.
type fileID struct{ dev, ino uint64 }

func fileIDOf(f *os.File) (fileID, error) {
	info, err := f.Stat()
	if err != nil {
		return fileID{}, err
	}
	return idOf(info), nil
}

func idOf(info os.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}
}

func readOutputs(pid int) (list []fileID) {
	for fd := 1; fd <= 2; fd++ {
		if info, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err == nil {
			list = append(list, idOf(info))
		}
	}
	return list
}

// realKernel is the system itself.
func realKernel() kernel {
	return kernel{
		start:       spawn.Start,
		dead:        sys.DeadChild,
		reap:        reapChild,
		signal:      sys.Kill,
		signalGroup: sys.KillGroup,
		signalOther: signalOther,
		children:    adoptedChildren,
		descendants: descendants,
		stat:        sys.ReadStat,
		ignores:     ignoresSignal,
		cgroup:      cgroup.Of,
		invocation:  readInvocation,
		outputs:     readOutputs,
		memory:      sys.ResidentMemory,
		oomKills:    readOOMKills,
		watch:       watchChildren,
		random:      rand.Float64,
		connections: socket.Connections,
		looks:       probe.LooksAt,
		identify:    identify,
		hold:        hold,
		exits:       watchExits,
		zombie:      zombieStatus,
		processes:   func() ([]sys.ProcStat, error) { return new(sys.ProcList).Read() },
		environ:     readEnviron,
	}
}

// adoptedChildren lists the children of our first thread. Orphans that a subreaper takes in are
// given to the first thread of it that lives (find_new_reaper in kernel/exit.c); the Go runtime
// never ends that one. What we start ourselves is listed with the spawner's thread, so that this
// list is short however many services run. It needs CONFIG_PROC_CHILDREN; without, nothing is
// adopted.
func adoptedChildren() ([]int, error) { return childrenOf(os.Getpid(), os.Getpid()) }

func childrenOf(pid, thread int) ([]int, error) {
	b, err := sys.ReadKernelFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, thread))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for f := range bytes.FieldsSeq(b) {
		child, err := strconv.Atoi(string(f))
		if err != nil {
			return nil, err
		}
		pids = append(pids, child)
	}
	return pids, nil
}

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

// readOOMKills reads how many processes the kernel has killed for want of memory (/proc/vmstat,
// Linux 4.13).
func readOOMKills() (uint64, error) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, err
	}
	_, after, ok := bytes.Cut(b, []byte("\noom_kill "))
	if !ok {
		return 0, errors.ErrUnsupported
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return strconv.ParseUint(string(line), 10, 64)
}

// ranOutOfMemory says whether the kernel has ended s for want of memory, as far as can be known.
// Where memory is limited by its control group, that counts, even if how the main process ended is
// unknown; elsewhere only that somebody was killed for it since this was last asked, which is a
// good guess about a process that was killed and not by us.
func (e *Engine) ranOutOfMemory(s *service, x *Exit) bool {
	if x.Signal != syscall.SIGKILL && (!x.Unknown || s.state == Stopping) {
		return false
	}
	if kills, known := s.group.OOMKills(); known {
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
