package sys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

func holdProcess(pid int) (BarePidfd, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch err {
	case nil:
		return BarePidfd(fd), nil
	case unix.ENOSYS, unix.EPERM: // see pidfdOpen
		return -1, fmt.Errorf("pidfd_open: %w (%w)", err, errors.ErrUnsupported)
	case unix.EINVAL, unix.ENOENT:
		err = unix.ESRCH
	}
	return -1, wrap("pidfd_open", err)
}

func (p BarePidfd) id() (uint64, error) {
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

func (p BarePidfd) signal(sig syscall.Signal) error {
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
	return 0, fmt.Errorf("/proc/self/fdinfo/%d: no process in it: %w", int(p), errors.ErrUnsupported)
}

func (p BarePidfd) exited() (bool, error) { return pollExit(int(p)) }

func (p BarePidfd) exitStatus() (status syscall.WaitStatus, known bool, err error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err = retry(func() error { return unix.IoctlPidfdInfo(int(p), &info) })
	switch err {
	case nil:
	case unix.ESRCH:
		// Before 6.15 a reaped process has no information at all.
		return status, false, fmt.Errorf("ioctl PIDFD_GET_INFO: the process is gone: %w", errors.ErrUnsupported)
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

// watchWake marks the eventfd among the keys of callers.
const watchWake = math.MaxUint64

type exitWatch struct {
	ep, event int
	raw       []unix.EpollEvent
}

func newExitWatch() (*ExitWatch, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, wrap("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, also(wrap("eventfd", err), CloseFD(ep))
	}
	w := &ExitWatch{exitWatch{ep: ep, event: event}}
	if err := w.ctl(event, unix.EPOLLIN, watchWake); err != nil {
		return nil, also(err, w.close())
	}
	return w, nil
}

func (w *exitWatch) ctl(fd int, events uint32, key uint64) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(key)), Pad: int32(uint32(key >> 32))}
	return wrap("epoll_ctl(EPOLL_CTL_ADD)", unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, fd, &ev))
}

// Edge-triggered: a process that has ended stays readable for ever, and being reaped wakes its
// pidfd anew.
func (w *exitWatch) add(p BarePidfd, key uint64) error {
	return w.ctl(int(p), unix.EPOLLIN|unix.EPOLLET, key)
}

func (w *exitWatch) wait(events []ExitEvent) (int, error) {
	if len(w.raw) < len(events) {
		w.raw = make([]unix.EpollEvent, len(events))
	}
	n, err := retry1(func() (int, error) { return unix.EpollWait(w.ep, w.raw[:len(events)], -1) })
	if err != nil {
		return 0, wrap("epoll_wait", err)
	}
	out := 0
	for _, ev := range w.raw[:n] {
		key := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		if key == watchWake {
			var b [8]byte
			unix.Read(w.event, b[:]) // EAGAIN: another Wait has taken it
			continue
		}
		events[out] = ExitEvent{Key: key, Reaped: ev.Events&unix.EPOLLHUP != 0}
		out++
	}
	return out, nil
}

func (w *exitWatch) wake() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := retry1(func() (int, error) { return unix.Write(w.event, one[:]) })
	if err == unix.EAGAIN { // 2^64-2 wakes pending: the waiter will see those
		return nil
	}
	return wrap("write(eventfd)", err)
}

func (w *exitWatch) close() error {
	unix.Close(w.event)
	return wrap("close(epoll)", unix.Close(w.ep))
}
