package sys

import "os"

// OpenTerminal returns the two ends of a new pseudoterminal. Neither becomes
// the controlling terminal of the caller. Closing the master hangs the terminal
// up: its session leader and its foreground group get SIGHUP (pty(7)).
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func OpenTerminal() (master, slave *os.File, err error) { return openTerminal() }
