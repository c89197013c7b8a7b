package sys

import "time"

// Usage is what one process uses.
type Usage struct {
	CPU    time.Duration // user and system time since its start, in steps of 10ms
	Memory int64         // bytes, as ResidentMemory counts them
}

// ReadUsage returns what process pid, without its children, has used and
// uses. The error wraps syscall.ESRCH when there is no such process.
// Elsewhere than on Linux it wraps errors.ErrUnsupported.
func ReadUsage(pid int) (Usage, error) { return readUsage(pid) }
