package sys

import "syscall"

// BarePidfd is a pidfd as a bare descriptor number, for those who hold thousands: it costs no
// os.File and no place in the runtime's poller. An ExitWatch waits for it. See PidfdOpen for what a
// pidfd is.
type BarePidfd int

// HoldProcess opens a pidfd on the process that has this pid now, with the errors of PidfdOpen. Who
// it is must be proven afterwards, by ID or by the start time: from here on it can not change.
func HoldProcess(pid int) (BarePidfd, error) { return holdProcess(pid) }

// ID is what PidfdID returns for a file.
func (p BarePidfd) ID() (uint64, error) { return p.id() }

// Signal signals the process. ESRCH: it is gone.
func (p BarePidfd) Signal(sig syscall.Signal) error { return p.signal(sig) }

// Exited reports whether the process has ended, reaped or not.
func (p BarePidfd) Exited() (bool, error) { return p.exited() }

// ExitStatus is what PidfdExitStatus returns for a file.
func (p BarePidfd) ExitStatus() (status syscall.WaitStatus, known bool, err error) {
	return p.exitStatus()
}

// Close closes the descriptor. An ExitWatch forgets it by that.
func (p BarePidfd) Close() error { return CloseFD(int(p)) }

// ExitEvent says what became of a process.
type ExitEvent struct {
	Key    uint64 // as given to Add
	Reaped bool   // its parent has taken note: the exit status, if the kernel tells it, is there
}

// ExitWatch tells of the ends of any number of processes that need not be children of ours: one
// epoll(7) set of pidfds, for which one thread waits. Each process is reported when it has ended,
// and on kernels that tell (Linux 6.9, EPOLLHUP of a pidfd) once more when it has been reaped; if
// that is one and the same moment, once. Add may be called from any goroutine.
type ExitWatch struct{ exitWatch }

// NewExitWatch returns an empty ExitWatch. The error wraps errors.ErrUnsupported where there are no
// pidfds.
func NewExitWatch() (*ExitWatch, error) { return newExitWatch() }

// Add watches a process. One that has ended already is reported at once.
func (w *ExitWatch) Add(p BarePidfd, key uint64) error { return w.add(p, key) }

// Wait fills events and returns how many there are: at least one, or none after Wake. One goroutine
// at a time.
func (w *ExitWatch) Wait(events []ExitEvent) (int, error) { return w.wait(events) }

// Wake makes the present or the next Wait return.
func (w *ExitWatch) Wake() error { return w.wake() }

// Close frees what the ExitWatch holds, not the descriptors it watched.
func (w *ExitWatch) Close() error { return w.close() }
