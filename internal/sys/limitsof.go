package sys

// LimitsOf returns the resource limits of a process by the names of RlimitNumber, those of them
// that the kernel tells of. Elsewhere than on Linux the error wraps errors.ErrUnsupported.
func LimitsOf(pid int) (map[string]Rlimit, error) { return limitsOf(pid) }
