//go:build !linux

package sys

func limitsOf(int) (map[string]Rlimit, error) { return nil, Unsupported("/proc/PID/limits") }
