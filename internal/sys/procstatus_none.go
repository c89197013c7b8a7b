//go:build !unix

package sys

import "syscall"

func signalName(syscall.Signal) string { return "" }

func processExists(int) (bool, error) { return false, Unsupported("kill") }
