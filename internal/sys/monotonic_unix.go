//go:build unix && !aix

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

func monotonic() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(clockMonotonic, &ts); err != nil {
		return 0, wrap("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}
