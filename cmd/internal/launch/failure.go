package launch

// Error is a launch that failed.
type Error struct {
	// Status is the exit status of the contract: the program's own, 128+N for signal N, or one of
	// those of package spawn.
	Status int
	// Err says at which step, on what, and why, in one line.
	Err error
	// Words are the last lines the program printed, if that went where we could read it.
	Words []string
	// Hint is what may help, in one line; mostly "".
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
