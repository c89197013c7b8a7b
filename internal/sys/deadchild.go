package sys

import "syscall"

// DeadChild returns the pid of a child of this process that has died, and leaves it to be reaped,
// so that the number stays its own; 0 if there is none. Without children it returns ECHILD. The
// error wraps errors.ErrUnsupported where waitid(2) is not to be had (darwin, the BSDs).
func DeadChild() (pid int, err error) { return deadChild() }

// ReapChild reaps that child and no other, without waiting. ok is false if it lives. The error
// wraps ECHILD if it is no child of ours, or was reaped before.
func ReapChild(pid int) (status syscall.WaitStatus, usage syscall.Rusage, ok bool, err error) {
	return reapChild(pid)
}

// KillGroup signals every process of a process group. The caller holds its leader, as a child that
// was not reaped. 0 and 1, which mean our own group and everybody, are refused.
func KillGroup(leader int, sig syscall.Signal) error { return killGroup(leader, sig) }
