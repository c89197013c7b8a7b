package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// siPID is where siginfo_t has si_pid: after three ints, at the alignment of a pointer
// (asm-generic/siginfo.h).
const siPID = (12 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)

func deadChild() (int, error) {
	var info unix.Siginfo
	err := retry(func() error {
		return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	})
	if err != nil {
		return 0, wrap("waitid", err)
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), siPID))), nil
}
