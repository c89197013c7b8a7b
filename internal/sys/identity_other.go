//go:build !unix

package sys

import "syscall"

func kill(int, syscall.Signal) error { return Unsupported("kill") }
