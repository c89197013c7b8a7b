//go:build !linux

package sys

import "syscall"

func setSignalMask(SignalSet) (SignalSet, error) { return 0, Unsupported("sigprocmask") }

func resetIgnoredSignals() error { return Unsupported("sigaction") }

func ignoreSignal(syscall.Signal) error { return Unsupported("sigaction") }

func ignoredSignals() (SignalSet, error) { return 0, Unsupported("sigaction") }
