package sys

// SealDescriptors marks every open descriptor of the process numbered from or
// higher close-on-exec, whatever its number and whatever RLIMIT_NOFILE says now,
// so that nothing the launcher leaked reaches a program executed later.
//
// They are marked and not closed because some belong to the Go runtime: the
// network poller's descriptors may exist before the first line of ours runs, and
// the runtime dies when they vanish.
//
// Linux 5.11 does it in one close_range(2); before that, and elsewhere, the
// descriptors are listed (/proc/self/fd, /dev/fd) or, failing that, tried one by one.
func SealDescriptors(from int) error { return sealDescriptors(from) }

// Dup2 makes newfd a copy of oldfd without close-on-exec (the two must differ).
func Dup2(oldfd, newfd int) error { return dup2(oldfd, newfd) }

// DupAbove copies fd to a close-on-exec descriptor numbered min or higher.
func DupAbove(fd, min int) (int, error) { return dupAbove(fd, min) }

// SetCloseOnExec sets or clears close-on-exec of fd; an error means, with EBADF, that fd is not
// open.
func SetCloseOnExec(fd int, on bool) error { return setCloseOnExec(fd, on) }

// DescriptorOpen says whether fd is an open descriptor of this process.
func DescriptorOpen(fd int) bool { return descriptorOpen(fd) }
