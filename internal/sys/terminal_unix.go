//go:build unix && !aix

package sys

import (
	"golang.org/x/sys/unix"
)

// IsTerminal says whether the descriptor is a terminal.
func IsTerminal(fd int) bool {
	_, _, err := TerminalSize(fd) // only terminals have one, and every system names it alike
	return err == nil
}

// HasTerminal says whether the process has a controlling terminal. It has none any more when that
// was hung up.
func HasTerminal() bool {
	// By the name with which a process finds its own (tty(4)): ENXIO without one. The kernel takes
	// it from every process of the session before it tells them (__tty_hangup and
	// disassociate_ctty in drivers/tty, Linux).
	fd, err := retry1(func() (int, error) {
		return unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return false
	}
	_ = unix.Close(fd) // nothing was written to it
	return true
}

// TerminalSize returns the size of the window of a terminal, in characters.
// Either is 0 where the terminal does not know, as on a serial line. The error
// wraps syscall.ENOTTY if the descriptor is no terminal.
func TerminalSize(fd int) (columns, rows int, err error) {
	ws, err := retry1(func() (*unix.Winsize, error) {
		return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	})
	if err != nil {
		return 0, 0, wrap("ioctl", err)
	}
	return int(ws.Col), int(ws.Row), nil
}
