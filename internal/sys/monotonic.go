package sys

import "time"

// Monotonic returns the time of CLOCK_MONOTONIC, which on one machine is the same
// for every process (time namespaces aside) and which package time does not show.
func Monotonic() (time.Duration, error) { return monotonic() }
