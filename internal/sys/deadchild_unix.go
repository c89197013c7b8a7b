//go:build unix

package sys

import (
	"fmt"
	"syscall"
)

func reapChild(pid int) (status syscall.WaitStatus, usage syscall.Rusage, ok bool, err error) {
	if pid <= 0 { // wait4(2): any child, or a group's
		return status, usage, false, fmt.Errorf("reap process %d: %w", pid, syscall.ECHILD)
	}
	n, err := retry1(func() (int, error) { return syscall.Wait4(pid, &status, syscall.WNOHANG, &usage) })
	return status, usage, n == pid, wrap("wait4", err)
}

func killGroup(leader int, sig syscall.Signal) error {
	if leader <= 1 {
		return fmt.Errorf("kill process group %d: %w", leader, syscall.EINVAL)
	}
	return wrap("kill", syscall.Kill(-leader, sig))
}
