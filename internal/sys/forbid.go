package sys

import "syscall"

// ForbidCall has the kernel answer a system call of NewCalls or LaunchCalls with an error number,
// to this process and all below it, for ever (seccomp(2), Linux 3.17). Container engines answer
// EPERM, or ENOSYS, which is also what an older kernel says; here it is for tests of what happens
// then.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ForbidCall(name string, errno syscall.Errno) error { return forbidCall(name, errno) }

// NewCalls are the system calls that this package makes and that a kernel before 5.10 or a filter
// may not have.
func NewCalls() []string { return newCalls() }

// LaunchCalls are system calls that every kernel has and a launch can not be without, or is not the
// same without.
func LaunchCalls() []string { return launchCalls() }
