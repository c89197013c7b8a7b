package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func setParentDeathSignal(sig syscall.Signal) error {
	return wrap("prctl(PR_SET_PDEATHSIG)", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0))
}
