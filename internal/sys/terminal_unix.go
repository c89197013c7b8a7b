//go:build unix

package sys

import "golang.org/x/sys/unix"

// isTerminal asks for what only terminals have, and every system names alike:
// a window size (ioctl_tty(2)).
func isTerminal(fd int) bool {
	_, err := retry1(func() (*unix.Winsize, error) { return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ) })
	return err == nil
}
