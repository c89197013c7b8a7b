//go:build !unix

package sys

import "syscall"

func reapChild(int) (status syscall.WaitStatus, usage syscall.Rusage, ok bool, err error) {
	return status, usage, false, Unsupported("wait4")
}

func killGroup(int, syscall.Signal) error { return Unsupported("kill") }
