// Package sys is the one place that talks to the kernel: one documented, EINTR-safe wrapper per
// system call, returning typed errors.
//
// A wrapper is named after its call, retries EINTR where the call may be
// retried, and returns *os.SyscallError (or *fs.PathError where a path is the
// object), never a naked errno. What a platform lacks returns an error that
// wraps errors.ErrUnsupported.
//
// The files are named by topic. An exported function stands once with its documentation: in
// topic_linux.go if it is Linux's, in topic_unix.go if all Unix systems have it alike, in topic.go
// if no system is asked. The other systems are in files of their own: bsd.go has what those that
// are Unix do in another way than Linux, nolinux.go one line for each thing that only Linux has,
// nounix.go one for each that the library calls on Windows, WebAssembly (js and wasip1), Plan 9 and
// AIX. There it builds and does nothing but to say so, for programs that run in the foreground.
// AIX is Unix, but x/sys has too little of it. Plan 9 has neither error numbers nor signals:
// numbers.go has their names for files that are built everywhere.
package sys

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// retry calls f until it is not interrupted by a signal. Go installs its
// handlers with SA_RESTART, but some calls return EINTR all the same
// (signal(7), "Interruption of system calls"), and so do network and FUSE
// file systems.
func retry(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

// retry1 is retry for a call with one result.
func retry1[T any](f func() (T, error)) (T, error) {
	for {
		v, err := f()
		if err != syscall.EINTR {
			return v, err
		}
	}
}

// Unsupported says that call does not exist on this platform; the error wraps
// errors.ErrUnsupported.
func Unsupported(call string) error {
	return fmt.Errorf("%s on %s: %w", call, runtime.GOOS, errors.ErrUnsupported)
}

// Errno returns the error number inside err, and whether there is one.
func Errno(err error) (ErrorNumber, bool) { return errors.AsType[ErrorNumber](err) }

// IfSupported is err, but nil if err says that this system has no such thing: for what is done
// where it can be.
func IfSupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// UnlessGone is err, but nil if err says that there is no such process: for what is done to one
// that may end by itself.
func UnlessGone(err error) error {
	if errors.Is(err, ESRCH) {
		return nil
	}
	return err
}

// wrap names the call an error came from; nil stays nil.
func wrap(call string, err error) error { return os.NewSyscallError(call, err) }
