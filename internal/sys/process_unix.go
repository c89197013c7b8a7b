//go:build unix && !aix

package sys

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals that not every system has a number for.
const (
	SIGHUP, SIGUSR1  = unix.SIGHUP, unix.SIGUSR1
	SIGSTOP, SIGCONT = unix.SIGSTOP, unix.SIGCONT
)

// NeedsUnix is for what has to be asked for before anything is done: whether this system has what
// the library works with. The error wraps errors.ErrUnsupported and names what was wanted.
func NeedsUnix(string) error { return nil }

// ReapChild reaps that child and no other, without waiting. ok is false if it lives. The error
// wraps ECHILD if it is no child of ours, or was reaped before.
func ReapChild(pid int) (status syscall.WaitStatus, usage syscall.Rusage, ok bool, err error) {
	if pid <= 0 { // wait4(2): any child, or a group's
		return status, usage, false, fmt.Errorf("reap process %d: %w", pid, syscall.ECHILD)
	}
	n, err := retry1(func() (int, error) {
		return syscall.Wait4(pid, &status, syscall.WNOHANG, &usage)
	})
	return status, usage, n == pid, wrap("wait4", err)
}

// ReapAny reaps a child that has ended, whichever, without waiting; pid is 0 if there is none. The
// error is ECHILD without children.
func ReapAny() (pid int, status syscall.WaitStatus, err error) {
	pid, err = retry1(func() (int, error) {
		return syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	})
	return pid, status, wrap("wait4", err)
}

// WaitChild waits for the end of a child and reaps it. The error wraps ECHILD as that of ReapChild.
func WaitChild(pid int) (status syscall.WaitStatus, err error) {
	_, err = retry1(func() (int, error) { return syscall.Wait4(pid, &status, 0, nil) })
	return status, wrap("wait4", err)
}

// KillGroup signals every process of a process group. The caller holds its leader, as a child that
// was not reaped. 0 and 1, which mean our own group and everybody, are refused.
func KillGroup(leader int, sig syscall.Signal) error {
	if leader <= 1 {
		return fmt.Errorf("kill process group %d: %w", leader, syscall.EINVAL)
	}
	return wrap("kill", syscall.Kill(-leader, sig))
}

func kill(pid int, sig syscall.Signal) error { return wrap("kill", syscall.Kill(pid, sig)) }

// Chroot changes the root directory; it does not change the working directory, which
// the caller must do next or the old tree stays reachable.
func Chroot(dir string) error {
	if err := retry(func() error { return unix.Chroot(dir) }); err != nil {
		return &os.PathError{Op: "chroot", Path: dir, Err: err}
	}
	return nil
}

// Umask sets the file mode creation mask, which cannot fail, and returns the one before.
func Umask(mask int) int { return unix.Umask(mask) }

// Setrlimit sets a resource limit. RLIMIT_NOFILE goes through package syscall,
// which otherwise restores the soft limit of the launcher in every child (see syscall/rlimit.go).
func Setrlimit(resource int, lim Rlimit) error {
	var l syscall.Rlimit
	putLimit(&l.Cur, lim.Soft)
	putLimit(&l.Max, lim.Hard)
	return wrap("setrlimit", syscall.Setrlimit(resource, &l))
}

// Getrlimit returns a resource limit of this process.
func Getrlimit(resource int) (Rlimit, error) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(resource, &l)
	return Rlimit{Soft: uint64(l.Cur), Hard: uint64(l.Max)}, wrap("getrlimit", err)
}

// putLimit knows what the systems differ in: RLIM_INFINITY is 2^64-1 on Linux and 2^63-1 on the
// others, and FreeBSD's fields are signed.
func putLimit[T int64 | uint64](field *T, value uint64) {
	if runtime.GOOS != "linux" {
		value = min(value, 1<<63-1)
	}
	*field = T(value)
}

// NewSession makes this process the leader of a new session without a terminal. A process that
// leads a process group already cannot (EPERM, setsid(2)).
func NewSession() error {
	_, err := syscall.Setsid()
	return wrap("setsid", err)
}

// SignalName returns the name of sig with its prefix ("SIGTERM"). The real-time
// signals of Linux are counted from 34, as the C libraries do, which keep the
// first two or three of the kernel's for themselves.
func SignalName(sig syscall.Signal) string {
	const firstRealTime = 34
	switch name := unix.SignalName(sig); {
	case runtime.GOOS == "linux" && sig == firstRealTime:
		return "SIGRTMIN"
	case runtime.GOOS == "linux" && firstRealTime < sig && sig <= 64:
		return fmt.Sprintf("SIGRTMIN+%d", int(sig)-firstRealTime)
	case name != "":
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// SetNice sets the nice value; on Linux of the calling thread alone (setpriority(2), "C
// library/kernel differences").
func SetNice(n int) error {
	return wrap("setpriority", unix.Setpriority(unix.PRIO_PROCESS, 0, n))
}

// PeakMemory is the most that this process has had in memory, in the unit of getrusage(2), which on
// Linux is a kilobyte.
func PeakMemory() (int64, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return int64(usage.Maxrss), wrap("getrusage", err)
}

func (c Credential) groups() []int {
	groups := make([]int, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = int(g)
	}
	return groups
}

func sameGroups(have []int, want []uint32) bool {
	set := func(groups []int) []int { return slices.Compact(slices.Sorted(slices.Values(groups))) }
	return slices.Equal(set(have), set(Credential{Groups: want}.groups()))
}
