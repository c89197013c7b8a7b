package sys

import "os"

// PidfdGetfd takes a duplicate of descriptor fd of another process
// (pidfd_getfd(2), Linux 5.6); close-on-exec. The caller needs the right to
// trace the process (PTRACE_MODE_ATTACH_REALCREDS, ptrace(2)): EPERM otherwise.
// EBADF: the process has no such descriptor. ESRCH: it has ended.
func PidfdGetfd(pidfd *os.File, fd int) (int, error) { return pidfdGetfd(pidfd, fd) }
