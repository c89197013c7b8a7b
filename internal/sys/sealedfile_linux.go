package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealedMemory is SealedFile by memfd_create.
func sealedMemory(name string, content []byte) (int, error) {
	fd, err := memfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	if err := writeAll(fd, content); err != nil {
		return -1, also(err, CloseFD(fd))
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return -1, also(wrap("fcntl(F_ADD_SEALS)", err), CloseFD(fd))
	}
	return fd, nil
}

// memfdCreate asks for a file that can not be executed: since Linux 6.3 a machine may refuse others
// (EACCES, sysctl vm.memfd_noexec), and older ones do not know of it (EINVAL).
func memfdCreate(name string, flags int) (int, error) {
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, wrap("memfd_create", err)
}

func sealed(fd int) bool {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && got&seals == seals
}

// widenPipe makes room for n bytes. If there is none, the write says so.
func widenPipe(fd, n int) {
	if n > 64<<10 {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, n)
	}
}
