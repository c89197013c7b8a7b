package sys

import (
	"context"
	"os"
	"syscall"
)

// A pidfd is a descriptor that means one process for as long as it is open
// (pidfd_open(2), Linux 5.3). It is carried as a non-blocking *os.File so that
// the Go runtime's poller can watch it. Do not call Fd on one: that makes the
// file blocking, and PidfdWait then cannot be interrupted.

// PidfdOpen opens a pidfd on the process that has this pid now; close-on-exec.
// The error wraps syscall.ESRCH when there is no process or the number is only
// a thread's, and errors.ErrUnsupported where the call is missing or a sandbox
// forbids it: the caller then falls back on kill(2) and the start time.
func PidfdOpen(pid int) (*os.File, error) { return pidfdOpen(pid) }

// PidfdFile takes ownership of a pidfd received as a number, for example from
// syscall.SysProcAttr.PidFD.
func PidfdFile(fd int) (*os.File, error) { return pidfdFile(fd) }

// PidfdSendSignal signals the process (Linux 5.1). ESRCH: it is gone.
func PidfdSendSignal(pidfd *os.File, sig syscall.Signal) error { return pidfdSendSignal(pidfd, sig) }

// PidfdExited reports whether the process has ended, reaped or not.
func PidfdExited(pidfd *os.File) (bool, error) { return pidfdExited(pidfd) }

// PidfdWait returns nil once the process has ended, or the context's cause. It
// blocks a goroutine, not a thread. One call at a time for each pidfd.
func PidfdWait(ctx context.Context, pidfd *os.File) error { return pidfdWait(ctx, pidfd) }

// PidfdID returns the number that no other process of this boot has or will
// have: the inode of pidfs (Linux 6.9). Before that all pidfds share one inode
// and the error wraps errors.ErrUnsupported. On 32-bit kernels the number may
// repeat after 4 billion processes.
func PidfdID(pidfd *os.File) (uint64, error) { return pidfdID(pidfd) }

// PidfdExitStatus returns how a process that need not be our child ended
// (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15). The kernel has the answer
// only when the parent has reaped the process: until then known is false. The
// error wraps errors.ErrUnsupported on older kernels.
func PidfdExitStatus(pidfd *os.File) (status syscall.WaitStatus, known bool, err error) {
	return pidfdExitStatus(pidfd)
}
