//go:build unix && !linux

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// fionread is _IOR('f', 127, int), the same on the BSDs, macOS, illumos and AIX;
// x/sys does not define it for all of them.
const fionread = 0x4004667f

func pipeFill(fd int) (int, error) {
	n, err := unix.IoctlGetInt(fd, fionread)
	if err != nil {
		return 0, wrap("ioctl(FIONREAD)", err)
	}
	return n, nil
}

func pipeSize(int) (int, error) { return 0, Unsupported("fcntl(F_GETPIPE_SZ)") }

func setPipeSize(int, int) (int, error) { return 0, Unsupported("fcntl(F_SETPIPE_SZ)") }

func newPipe() (int, int, error) {
	var p [2]int
	// ForkLock keeps a concurrent fork from inheriting the ends before they are
	// close-on-exec: macOS has no pipe2.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(p[:]); err != nil {
		return -1, -1, wrap("pipe", err)
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(p[0])
			unix.Close(p[1])
			return -1, -1, wrap("fcntl(F_SETFL)", err)
		}
	}
	return p[0], p[1], nil
}
