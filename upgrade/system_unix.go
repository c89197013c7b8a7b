//go:build unix

package upgrade

import "syscall"

const (
	defaultSignal = syscall.SIGHUP
	sigcont       = syscall.SIGCONT
)

func supported() error { return nil }
