//go:build unix

package sys

import "golang.org/x/sys/unix"

// isTerminal asks for what only terminals have, and every system names alike:
// a window size (ioctl_tty(2)).
func isTerminal(fd int) bool {
	_, err := retry1(func() (*unix.Winsize, error) { return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ) })
	return err == nil
}

// hasTerminal opens the name by which a process finds its own (tty(4)): ENXIO without one. The
// kernel takes it from every process of the session before it tells them (__tty_hangup and
// disassociate_ctty in drivers/tty, Linux).
func hasTerminal() bool {
	fd, err := retry1(func() (int, error) {
		return unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return false
	}
	_ = unix.Close(fd) // nothing was written to it
	return true
}
