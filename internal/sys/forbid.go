package sys

// ForbidCall has the kernel refuse a system call, given by its number, to this process and all below it with EPERM, for ever
// (seccomp(2), Linux 3.17). Container engines do that; here it is for tests of what happens then.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ForbidCall(number uint32) error { return forbidCall(number) }
