//go:build unix && !aix && !netbsd && !openbsd

package sys

import "golang.org/x/sys/unix"

const clockMonotonic = unix.CLOCK_MONOTONIC
