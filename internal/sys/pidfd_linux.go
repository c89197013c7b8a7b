package sys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HoldProcess opens a pidfd on the process that has this pid now, with the errors of PidfdOpen. Who
// it is must be proven afterwards, by ID or by the start time: from here on it can not change.
func HoldProcess(pid int) (BarePidfd, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch err {
	case nil:
		return BarePidfd(fd), nil
	case unix.ENOSYS, unix.EPERM:
		// EPERM: seccomp filters of old container engines answer so for calls
		// they do not know; the call itself never does.
		return -1, fmt.Errorf("pidfd_open: %w (%w)", err, errors.ErrUnsupported)
	case unix.EINVAL, unix.ENOENT:
		// The number is a thread's, not a process's: EINVAL, since Linux 6.15
		// ENOENT. With pid <= 0 it is nobody's.
		err = unix.ESRCH
	}
	return -1, wrap("pidfd_open", err)
}

// ID is what PidfdID returns for the process.
func (p BarePidfd) ID() (uint64, error) {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(p), &fs) }); err != nil {
		return 0, wrap("fstatfs", err)
	}
	if int64(fs.Type) != unix.PID_FS_MAGIC {
		return 0, Unsupported("pidfs (Linux 6.9)")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(p), &st); err != nil {
		return 0, wrap("fstat", err)
	}
	return st.Ino, nil
}

// Signal signals the process. ESRCH: it is gone.
func (p BarePidfd) Signal(sig syscall.Signal) error {
	err := unix.PidfdSendSignal(int(p), sig, nil, 0)
	if err != unix.ENOSYS && (err != unix.EPERM || !pidfdSignalsFiltered()) {
		return wrap("pidfd_send_signal", err)
	}
	// Before Linux 5.1, or under a filter. The pidfd says whose the number is, up to the moment
	// before.
	pid, err := p.pid()
	if err != nil {
		return err
	}
	return kill(pid, sig)
}

// pidfdSignalsFiltered says whether EPERM is the answer of a filter that predates the call, and not
// that the process is another user's: then we may not even signal ourselves. A filter stays for the
// life of a process.
var pidfdSignalsFiltered = sync.OnceValue(func() bool {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return true // no descriptor is left: kill(2) tells
	}
	err = unix.PidfdSendSignal(self, 0, nil, 0)
	CloseFD(self) // nothing was written to it
	return err != nil
})

// pid is the number of the process that a pidfd holds, as long as it is not reaped
// (proc_pid_fdinfo(5)).
func (p BarePidfd) pid() (int, error) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", int(p)))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(info)) {
		if text, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err == nil && pid <= 0 { // reaped
				err = wrap("kill", unix.ESRCH)
			}
			return pid, err
		}
	}
	return 0, fmt.Errorf("/proc/self/fdinfo/%d: no process in it: %w",
		int(p), errors.ErrUnsupported)
}

// Exited reports whether the process has ended, reaped or not.
func (p BarePidfd) Exited() (bool, error) { return pollExit(int(p)) }

// ExitStatus returns how a process that need not be our child ended
// (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15). The kernel has the answer
// only when the parent has reaped the process: until then known is false. The
// error wraps errors.ErrUnsupported on older kernels.
func (p BarePidfd) ExitStatus() (status syscall.WaitStatus, known bool, err error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err = retry(func() error { return unix.IoctlPidfdInfo(int(p), &info) })
	switch err {
	case nil:
	case unix.ESRCH:
		// Before 6.15 a reaped process has no information at all.
		return status, false, fmt.Errorf("ioctl PIDFD_GET_INFO: the process is gone: %w",
			errors.ErrUnsupported)
	case unix.ENOTTY, unix.EINVAL:
		return status, false, Unsupported("ioctl PIDFD_GET_INFO (Linux 6.15)")
	default:
		return status, false, wrap("ioctl PIDFD_GET_INFO", err)
	}
	if known = info.Mask&unix.PIDFD_INFO_EXIT != 0; known {
		status = syscall.WaitStatus(info.Exit_code)
	}
	return status, known, nil
}

// ExitWatch tells of the ends of any number of processes that need not be children of ours: one
// epoll(7) set of pidfds, for which one thread waits. Each process is reported when it has ended,
// and on kernels that tell (Linux 6.9, EPOLLHUP of a pidfd) once more when it has been reaped; if
// that is one and the same moment, once. Add may be called from any goroutine.
type ExitWatch struct{ epoll }

// NewExitWatch returns an empty ExitWatch. The error wraps errors.ErrUnsupported where there are no
// pidfds.
func NewExitWatch() (*ExitWatch, error) {
	e, err := newEpoll()
	if err != nil {
		return nil, err
	}
	return &ExitWatch{e}, nil
}

// Add watches a process. One that has ended already is reported at once.
func (w *ExitWatch) Add(p BarePidfd, key uint64) error {
	// Edge-triggered: a process that has ended stays readable for ever, and being reaped wakes its
	// pidfd anew.
	return w.ctl(unix.EPOLL_CTL_ADD, int(p), unix.EPOLLIN|unix.EPOLLET, key)
}

// Wait fills events and returns how many there are: at least one, or none after Wake. One goroutine
// at a time.
func (w *ExitWatch) Wait(events []ExitEvent) (int, error) {
	raw := w.room(len(events))
	n, err := retry1(func() (int, error) { return unix.EpollWait(w.ep, raw, -1) })
	if err != nil {
		return 0, wrap("epoll_wait", err)
	}
	out := 0
	for _, ev := range raw[:n] {
		if w.woken(ev) {
			continue
		}
		events[out] = ExitEvent{Key: eventKey(ev), Reaped: ev.Events&unix.EPOLLHUP != 0}
		out++
	}
	return out, nil
}

// A pidfd is a descriptor that means one process for as long as it is open
// (pidfd_open(2), Linux 5.3). It is carried as a non-blocking *os.File so that
// the Go runtime's poller can watch it. Do not call Fd on one: that makes the
// file blocking, and PidfdWait then cannot be interrupted.

// PidfdOpen opens a pidfd on the process that has this pid now; close-on-exec.
// The error wraps syscall.ESRCH when there is no process or the number is only
// a thread's, and errors.ErrUnsupported where the call is missing or a sandbox
// forbids it: the caller then falls back on kill(2) and the start time.
func PidfdOpen(pid int) (*os.File, error) {
	p, err := HoldProcess(pid)
	if err != nil {
		return nil, err
	}
	// PIDFD_NONBLOCK would do it in one call, but needs Linux 5.10.
	if err := unix.SetNonblock(int(p), true); err != nil {
		return nil, Also(wrap("fcntl", err), p.Close())
	}
	return os.NewFile(uintptr(p), "pidfd"), nil
}

// PidfdSendSignal signals the process (Linux 5.1). ESRCH: it is gone.
func PidfdSendSignal(f *os.File, sig syscall.Signal) error {
	return WithFD(f, func(fd int) error { return BarePidfd(fd).Signal(sig) })
}

func pollExit(fd int) (bool, error) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := retry1(func() (int, error) { return unix.Poll(p, 0) })
	return n > 0, wrap("poll", err)
}

// PidfdWait returns nil once the process has ended, or the context's cause. It
// blocks a goroutine, not a thread. One call at a time for each pidfd.
func PidfdWait(ctx context.Context, f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("wait on pidfd: %w", err)
	}
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		_ = f.SetReadDeadline(time.Unix(1, 0)) // fails only if f is closed, which ends Read as well
	})
	var pollErr error
	err = conn.Read(func(fd uintptr) bool {
		var exited bool
		exited, pollErr = pollExit(int(fd))
		return exited || pollErr != nil
	})
	if !stop() {
		<-expired // else it could spoil the next Wait's deadline
	}
	if pollErr != nil {
		return pollErr
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// TakeFD returns a duplicate of descriptor fd of the process
// (pidfd_getfd(2), Linux 5.6); close-on-exec. The caller needs the right to
// trace the process (PTRACE_MODE_ATTACH_REALCREDS, ptrace(2)): EPERM otherwise.
// EBADF: the process has no such descriptor. ESRCH: it has ended.
func (p BarePidfd) TakeFD(fd int) (int, error) {
	got, err := unix.PidfdGetfd(int(p), fd, 0)
	return got, wrap("pidfd_getfd", err)
}
