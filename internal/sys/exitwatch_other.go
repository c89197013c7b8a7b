//go:build !linux

package sys

import "syscall"

func holdProcess(int) (BarePidfd, error) { return -1, Unsupported("pidfd_open") }

func (BarePidfd) id() (uint64, error) { return 0, Unsupported("pidfd") }

func (BarePidfd) signal(syscall.Signal) error { return Unsupported("pidfd_send_signal") }

func (BarePidfd) exited() (bool, error) { return false, Unsupported("pidfd") }

func (BarePidfd) exitStatus() (syscall.WaitStatus, bool, error) {
	var none syscall.WaitStatus
	return none, false, Unsupported("pidfd")
}

type exitWatch struct{}

func newExitWatch() (*ExitWatch, error) { return nil, Unsupported("pidfd") }

func (exitWatch) add(BarePidfd, uint64) error { return Unsupported("pidfd") }

func (exitWatch) wait([]ExitEvent) (int, error) { return 0, Unsupported("pidfd") }

func (exitWatch) wake() error { return nil }

func (exitWatch) close() error { return nil }
