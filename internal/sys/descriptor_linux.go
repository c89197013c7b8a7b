package sys

import (
	"errors"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func dup2Call(oldfd, newfd int) error { return unix.Dup3(oldfd, newfd, 0) }

func sealDescriptors(from int) error {
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
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd < from {
			continue
		}
		if err := setCloseOnExec(fd, true); err != nil && !errors.Is(err, syscall.EBADF) {
			return err
		}
	}
	return nil
}
