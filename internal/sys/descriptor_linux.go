package sys

import (
	"errors"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func dup2Call(oldfd, newfd int) error { return unix.Dup3(oldfd, newfd, 0) }

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
func SealDescriptors(from int) error {
	// ENOSYS: before Linux 5.9, or a seccomp filter; EINVAL: before 5.11, which
	// brought CLOSE_RANGE_CLOEXEC; EPERM: seccomp filters older than the call.
	if err := unix.CloseRange(uint(from), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err == nil {
		return nil
	}
	if err := sealListed("/proc/self/fd", from); err == nil {
		return nil
	}
	return sealTried(from)
}

// sealListed marks the descriptors that a directory of descriptors names.
func sealListed(dir string, from int) error {
	fds, err := numbersIn(dir)
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if fd < from {
			continue
		}
		if err := SetCloseOnExec(fd, true); err != nil && !errors.Is(err, syscall.EBADF) {
			return err
		}
	}
	return nil
}

// openDescriptors counts the open files of this process: the size of the directory that names them
// (Linux 6.2). 0 means that nobody says.
func openDescriptors() int {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/fd", &st); err != nil {
		return 0
	}
	return int(st.Size)
}

// SameDescription says whether two descriptors of ours are the same open file: made by dup(2) or
// passed around, with one offset and one set of status flags (kcmp(2), Linux 3.5).
func SameDescription(a, b int) (bool, error) {
	const kcmpFile = 0 // KCMP_FILE of linux/kcmp.h
	pid := uintptr(os.Getpid())
	r, _, e := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	if e != 0 {
		return false, wrap("kcmp", e)
	}
	return r == 0, nil
}
