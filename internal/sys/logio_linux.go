package sys

import (
	"golang.org/x/sys/unix"
)

// From linux/ioprio.h: the class sits above 13 bits of data.
const (
	ioprioWhoProcess = 1 // a thread, despite the name; 0 means the caller
	ioprioIdle       = 3 << 13
)

func lowerThread() error {
	// On Linux, against POSIX, PRIO_PROCESS with 0 is the calling thread alone (setpriority(2),
	// BUGS).
	if err := retry(func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, 19) }); err != nil {
		return wrap("setpriority", err)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle); e != 0 {
		return wrap("ioprio_set", e)
	}
	return nil
}
