package sys

import "syscall"

// SetParentDeathSignal has the kernel send sig to the calling thread's process when the thread that
// forked it ends (PR_SET_PDEATHSIG, prctl(2)). It holds through execve(2), except of a program that
// is set-user-ID, set-group-ID or has file capabilities; a change of credentials takes it back, and
// it is not inherited. Who was too late for it has another parent now.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func SetParentDeathSignal(sig syscall.Signal) error { return setParentDeathSignal(sig) }
