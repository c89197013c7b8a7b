//go:build unix && !linux

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

func tryOFDLock(*os.File) error { return Unsupported("fcntl(F_OFD_SETLK)") }

// One kernel table holds flock and fcntl locks on these systems, so F_GETLK
// sees a flock lock too (with process id -1).
func lockedByOther(f *os.File) (bool, error) { return queryLock(f, unix.F_GETLK) }
