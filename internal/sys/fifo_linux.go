package sys

import "golang.org/x/sys/unix"

func pipeFill(fd int) (int, error) {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCINQ) // the same number as FIONREAD on every Linux
	if err != nil {
		return 0, wrap("ioctl(FIONREAD)", err)
	}
	return int(n), nil
}

func pipeSize(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	return n, wrap("fcntl(F_GETPIPE_SZ)", err)
}

func setPipeSize(fd, n int) (int, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, n)
	return got, wrap("fcntl(F_SETPIPE_SZ)", err)
}

func newPipe() (int, int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, -1, wrap("pipe2", err)
	}
	return p[0], p[1], nil
}
