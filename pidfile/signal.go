//go:build !plan9

package pidfile

import "syscall"

// Signal sends sig to the process, which must be Running. The error wraps
// os.ErrProcessDone when it has ended since, and syscall.EPERM when we may not.
func (i *Instance) Signal(sig syscall.Signal) error { return i.signal(sig) }
