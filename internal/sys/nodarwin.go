//go:build !linux && !darwin

package sys

import "time"

func BootID() (string, error) { return "", Unsupported("boot id") }

// The BSDs and illumos tell these things through structures x/sys does not
// describe; a guess at their layout would be worse than none.

func ReadStat(int) (ProcStat, error) { return ProcStat{}, Unsupported("reading a process's state") }

func StartedAt(ProcStat) (time.Time, error) {
	return time.Time{}, Unsupported("a process's start time")
}

func ReadUserIDs(int) (UserIDs, error) { return UserIDs{}, Unsupported("reading a process's user") }
