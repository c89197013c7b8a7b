package sys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func pidfdOpen(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch err {
	case nil:
		return pidfdFile(fd)
	case unix.ENOSYS, unix.EPERM:
		// EPERM: seccomp filters of old container engines answer so for calls
		// they do not know; the call itself never does.
		return nil, fmt.Errorf("pidfd_open: %w (%w)", err, errors.ErrUnsupported)
	case unix.EINVAL, unix.ENOENT:
		// The number is a thread's, not a process's: EINVAL, since Linux 6.15
		// ENOENT. With pid <= 0 it is nobody's.
		err = unix.ESRCH
	}
	return nil, wrap("pidfd_open", err)
}

func pidfdFile(fd int) (*os.File, error) {
	// PIDFD_NONBLOCK would do it in one call, but needs Linux 5.10.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, also(wrap("fcntl", err), CloseFD(fd))
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

func pidfdSendSignal(f *os.File, sig syscall.Signal) error {
	return withFD(f, func(fd int) error {
		return BarePidfd(fd).signal(sig)
	})
}

func pidfdExited(f *os.File) (exited bool, err error) {
	err = withFD(f, func(fd int) error {
		exited, err = pollExit(fd)
		return err
	})
	return exited, err
}

func pollExit(fd int) (bool, error) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := retry1(func() (int, error) { return unix.Poll(p, 0) })
	return n > 0, wrap("poll", err)
}

func pidfdWait(ctx context.Context, f *os.File) error {
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

func pidfdID(f *os.File) (id uint64, err error) {
	err = withFD(f, func(fd int) error {
		id, err = BarePidfd(fd).id()
		return err
	})
	return id, err
}

func pidfdExitStatus(f *os.File) (status syscall.WaitStatus, known bool, err error) {
	err = withFD(f, func(fd int) error {
		status, known, err = BarePidfd(fd).exitStatus()
		return err
	})
	return status, known, err
}
