//go:build unix && !aix

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic returns the time of CLOCK_MONOTONIC, which on one machine is the same
// for every process (time namespaces aside) and which package time does not show.
func Monotonic() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(clockMonotonic, &ts); err != nil {
		return 0, wrap("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}
