//go:build netbsd || openbsd

package sys

// CLOCK_MONOTONIC of <time.h>, which x/sys does not have for these two.
const clockMonotonic = 3
