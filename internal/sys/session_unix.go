//go:build unix

package sys

import "syscall"

func newSession() error {
	_, err := syscall.Setsid()
	return wrap("setsid", err)
}
