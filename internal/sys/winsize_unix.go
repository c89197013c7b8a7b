//go:build unix

package sys

import "golang.org/x/sys/unix"

func terminalSize(fd int) (columns, rows int, err error) {
	ws, err := retry1(func() (*unix.Winsize, error) { return unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ) })
	if err != nil {
		return 0, 0, wrap("ioctl", err)
	}
	return int(ws.Col), int(ws.Row), nil
}
