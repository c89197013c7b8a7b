//go:build !plan9

package sys

import "syscall"

// The names of package syscall that Plan 9 has not. Files that are built for every system know them
// by these: there they mean nothing, so that one program builds everywhere.
type (
	ErrorNumber = syscall.Errno
	Signal      = syscall.Signal
	WaitStatus  = syscall.WaitStatus
)

const (
	SIGINT, SIGKILL  = syscall.SIGINT, syscall.SIGKILL
	SIGQUIT, SIGTERM = syscall.SIGQUIT, syscall.SIGTERM

	EAGAIN, EINPROGRESS, EIO = syscall.EAGAIN, syscall.EINPROGRESS, syscall.EIO
	EADDRINUSE, ECONNREFUSED = syscall.EADDRINUSE, syscall.ECONNREFUSED
	ECONNRESET, EPIPE        = syscall.ECONNRESET, syscall.EPIPE
	ENODEV, ESRCH            = syscall.ENODEV, syscall.ESRCH
	ENOEXEC                  = syscall.ENOEXEC
	EBUSY, ENOTDIR, EROFS    = syscall.EBUSY, syscall.ENOTDIR, syscall.EROFS
	EOPNOTSUPP               = syscall.EOPNOTSUPP
	EPROTONOSUPPORT          = syscall.EPROTONOSUPPORT
	SOCK_DGRAM, SOCK_STREAM  = syscall.SOCK_DGRAM, syscall.SOCK_STREAM
	SOCK_SEQPACKET           = syscall.SOCK_SEQPACKET
)

func unlink(path string) error { return syscall.Unlink(path) }
