package sys

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func setModTime(f *os.File, _ string, t time.Time) error {
	mtime, err := unix.TimeToTimespec(t)
	if err != nil {
		return wrap("utimensat", err)
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
	return withFD(f, func(fd int) error {
		// A null path means the descriptor itself (utimensat(2)); x/sys offers
		// only paths, and AT_EMPTY_PATH works here since Linux 5.8 alone.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
		if errno != 0 {
			return wrap("utimensat", errno)
		}
		return nil
	})
}
