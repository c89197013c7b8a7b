package sys

// IsTerminal says whether the descriptor is a terminal.
func IsTerminal(fd int) bool { return isTerminal(fd) }

// HasTerminal says whether the process has a controlling terminal. It has none any more when that
// was hung up.
func HasTerminal() bool { return hasTerminal() }
