//go:build !linux

package sys

func readStatus(int) (ProcStatus, error)       { return ProcStatus{}, Unsupported("/proc/PID/status") }
func blockedEverywhere(int) (SignalSet, error) { return 0, Unsupported("/proc/PID/task") }
