//go:build !linux

package sys

// No open(2) flags here: ReadFDs is not there to return one.
const closeOnExecFlag, pathOnlyFlag = 0, 0

func readFDs(int) ([]FD, error)           { return nil, Unsupported("/proc/PID/fd") }
func statx(string) (FileStat, error)      { return FileStat{}, Unsupported("statx") }
func terminalDevice(uint64) (bool, error) { return false, Unsupported("/proc/tty/drivers") }
