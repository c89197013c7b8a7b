//go:build !linux

package sys

import "syscall"

func zombieStatus(BarePidfd, int) (status syscall.WaitStatus, known bool, err error) {
	return status, false, nil
}
