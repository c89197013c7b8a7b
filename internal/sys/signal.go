package sys

import "syscall"

// SignalSet is a set of signals, bit N-1 for signal N, as in the SigBlk line of
// /proc/PID/status. Sixty-four bits hold every signal of Linux, the BSDs and illumos.
type SignalSet uint64

// Add returns the set with sig in it.
func (s SignalSet) Add(sig syscall.Signal) SignalSet { return s | 1<<(uint(sig)-1) }

// Has says whether sig is in the set.
func (s SignalSet) Has(sig syscall.Signal) bool { return s&(1<<(uint(sig)-1)) != 0 }

// SetSignalMask replaces the signal mask of the calling thread and returns the
// one before. The caller must hold the thread (runtime.LockOSThread): the Go
// scheduler moves goroutines between threads, and a mask stays behind. What is
// set here is what a child started from this thread gets: the runtime saves the
// thread's mask at the fork and restores it in the child (runtime.syscall_runtime_BeforeFork).
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func SetSignalMask(mask SignalSet) (SignalSet, error) { return setSignalMask(mask) }

// ResetIgnoredSignals sets every signal that this process ignores to its
// default action and leaves handlers alone, because execve(2) resets handlers
// itself but keeps SIG_IGN. Go's runtime keeps an inherited SIG_IGN for SIGHUP
// and SIGINT and for the job-control signals, so a program started by Go inherits them
// from whoever started us.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ResetIgnoredSignals() error { return resetIgnoredSignals() }

// IgnoredSignals returns the signals that this process ignores.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func IgnoredSignals() (SignalSet, error) { return ignoredSignals() }

// IgnoreSignal makes the process ignore sig, and all that it executes.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func IgnoreSignal(sig syscall.Signal) error { return ignoreSignal(sig) }
