//go:build !linux

package sys

func (p BarePidfd) takeFD(int) (int, error) { return -1, Unsupported("pidfd_getfd") }
