//go:build unix

package sys

import "syscall"

func kill(pid int, sig syscall.Signal) error { return wrap("kill", syscall.Kill(pid, sig)) }
