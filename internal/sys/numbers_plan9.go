package sys

import "fmt"

// Plan 9 has texts in the place of numbers, notes in that of signals, and nothing of ours can be
// done there. No error is one of these, and nobody is sent one; the numbers are Linux's.
type (
	ErrorNumber uint
	Signal      int
	WaitStatus  struct{}
)

func (e ErrorNumber) Error() string { return fmt.Sprintf("error %d", uint(e)) }

func (s Signal) String() string { return fmt.Sprintf("signal %d", int(s)) }

func (Signal) Signal() {}

const (
	SIGINT, SIGKILL  Signal = 2, 9
	SIGQUIT, SIGTERM Signal = 3, 15

	EAGAIN, EINPROGRESS, EIO ErrorNumber = 11, 115, 5
	EADDRINUSE, ECONNREFUSED ErrorNumber = 98, 111
	ECONNRESET, EPIPE        ErrorNumber = 104, 32
	ENODEV, ESRCH            ErrorNumber = 19, 3
	ENOEXEC                  ErrorNumber = 8
	EBUSY, ENOTDIR, EROFS    ErrorNumber = 16, 20, 30
	EOPNOTSUPP               ErrorNumber = 95
	EPROTONOSUPPORT          ErrorNumber = 93

	SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET = 2, 1, 5
)

func unlink(string) error { return Unsupported("unlink") }
