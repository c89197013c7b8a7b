package proctest

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenTerminal returns the two ends of a new pseudoterminal. Neither becomes
// the controlling terminal of the caller. Closing the master hangs the terminal
// up: its session leader and its foreground group get SIGHUP (pty(7)).
func OpenTerminal() (master, slave *os.File, err error) {
	// Non-blocking, so that the runtime's poller serves the master and closing
	// it ends a Read that waits: that is how a terminal is hung up.
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	m, err := unix.Open("/dev/ptmx", flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = os.NewFile(uintptr(m), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, os.NewSyscallError("ioctl(TIOCSPTLCK)", err)
	}
	// TIOCGPTPEER (Linux 4.13) needs no path below /dev/pts, which another
	// mount namespace may have mounted over.
	s, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		master.Close()
		return nil, nil, os.NewSyscallError("ioctl(TIOCGPTPEER)", syscall.Errno(errno))
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err != nil {
		unix.Close(int(s))
		master.Close()
		return nil, nil, os.NewSyscallError("ioctl(TIOCGPTN)", err)
	}
	return master, os.NewFile(s, fmt.Sprintf("/dev/pts/%d", n)), nil
}
