//go:build !linux

package sys

import "syscall"

func setParentDeathSignal(syscall.Signal) error { return Unsupported("a signal at the parent's death") }
