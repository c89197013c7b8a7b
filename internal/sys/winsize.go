package sys

// TerminalSize returns the size of the window of a terminal, in characters.
// Either is 0 where the terminal does not know, as on a serial line. The error
// wraps syscall.ENOTTY if the descriptor is no terminal.
func TerminalSize(fd int) (columns, rows int, err error) { return terminalSize(fd) }
