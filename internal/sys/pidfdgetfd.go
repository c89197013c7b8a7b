package sys

// TakeFD returns a duplicate of descriptor fd of the process
// (pidfd_getfd(2), Linux 5.6); close-on-exec. The caller needs the right to
// trace the process (PTRACE_MODE_ATTACH_REALCREDS, ptrace(2)): EPERM otherwise.
// EBADF: the process has no such descriptor. ESRCH: it has ended.
func (p BarePidfd) TakeFD(fd int) (int, error) { return p.takeFD(fd) }
