package sys

// IsTerminal says whether the descriptor is a terminal.
func IsTerminal(fd int) bool { return isTerminal(fd) }
