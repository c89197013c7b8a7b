package sys

// ResidentMemory returns the bytes that process pid has in memory and shares with no file
// (resident less shared, proc_pid_statm(5)).
// Elsewhere than on Linux the error wraps errors.ErrUnsupported.
func ResidentMemory(pid int) (int64, error) { return residentMemory(pid) }
