package sys

import (
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// numSignals is the kernel's _NSIG: 64 everywhere but on MIPS, whose last 64 no libc hands out.
const numSignals = 64

// sigsetSize is what rt_sigaction(2) and rt_sigprocmask(2) want as their last
// argument: the size of the kernel's set, not of libc's.
func sigsetSize() uintptr {
	if mips() {
		return 16
	}
	return 8
}

func mips() bool { return strings.HasPrefix(runtime.GOARCH, "mips") }

// kernelSigaction has room for struct sigaction of every architecture. Its
// first word is the handler, except on MIPS, where flags come first.
type kernelSigaction [16]uintptr

func handlerWord() int {
	if mips() {
		return 1
	}
	return 0
}

const sigIgnore uintptr = 1 // SIG_IGN; SIG_DFL is 0, so a zero action is the default one

// SetSignalMask replaces the signal mask of the calling thread and returns the
// one before. The caller must hold the thread (runtime.LockOSThread): the Go
// scheduler moves goroutines between threads, and a mask stays behind. What is
// set here is what a child started from this thread gets: the runtime saves the
// thread's mask at the fork and restores it in the child (runtime.syscall_runtime_BeforeFork).
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func SetSignalMask(mask SignalSet) (SignalSet, error) {
	var set, old unix.Sigset_t
	*(*uint64)(unsafe.Pointer(&set)) = wordOrder(uint64(mask))
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &set, &old); err != nil {
		return 0, wrap("rt_sigprocmask", err)
	}
	return SignalSet(wordOrder(*(*uint64)(unsafe.Pointer(&old)))), nil
}

// wordOrder swaps the halves of a set on 32-bit big-endian machines, where the
// kernel keeps signals 1 to 32 in the first word.
func wordOrder(v uint64) uint64 {
	if runtime.GOARCH == "mips" {
		return v<<32 | v>>32
	}
	return v
}

func sigaction(sig syscall.Signal, act, old *kernelSigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), sigsetSize(), 0, 0)
	if errno != 0 {
		return wrap("rt_sigaction", errno)
	}
	return nil
}

// IgnoredSignals returns the signals that this process ignores.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func IgnoredSignals() (ignored SignalSet, err error) {
	for sig := syscall.Signal(1); sig <= numSignals; sig++ {
		if sig == unix.SIGKILL || sig == unix.SIGSTOP {
			continue
		}
		var old kernelSigaction
		if err := sigaction(sig, nil, &old); err != nil {
			return 0, err
		}
		if old[handlerWord()] == sigIgnore {
			ignored = ignored.Add(sig)
		}
	}
	return ignored, nil
}

// ResetIgnoredSignals sets every signal that this process ignores to its
// default action and leaves handlers alone, because execve(2) resets handlers
// itself but keeps SIG_IGN. Go's runtime keeps an inherited SIG_IGN for SIGHUP
// and SIGINT and for the job-control signals, so a program started by Go inherits them
// from whoever started us.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ResetIgnoredSignals() error {
	ignored, err := IgnoredSignals()
	if err != nil {
		return err
	}
	for _, sig := range ignored.Signals() {
		if err := sigaction(sig, new(kernelSigaction), nil); err != nil {
			return err
		}
	}
	return nil
}
