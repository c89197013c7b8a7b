//go:build unix

package sys

import "golang.org/x/sys/unix"

func processExists(pid int) (bool, error) {
	// 0 and negative numbers would name process groups.
	if pid <= 0 {
		return false, nil
	}
	switch err := unix.Kill(pid, 0); err {
	case nil, unix.EPERM:
		return true, nil
	case unix.ESRCH:
		return false, nil
	default:
		return false, wrap("kill", err)
	}
}
