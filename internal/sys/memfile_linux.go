package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) {
		return unlinkedFile(name)
	}
	if err != nil {
		return nil, wrap("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
