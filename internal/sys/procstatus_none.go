//go:build !unix

package sys

import "syscall"

func signalName(syscall.Signal) string { return "" }
