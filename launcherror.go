package daemonry

import (
	"context"
	"fmt"
	"time"
)

// LaunchError says why a daemon did not come up.
type LaunchError struct {
	// Phase is what the launch was at, as in "start" or "wait for ready".
	Phase string
	// Text is what the daemon gave to Fail; "" if it ended otherwise.
	Text string
	// Err is the reason if it was not the daemon's own: it wraps context.DeadlineExceeded after
	// Timeout, and the cause of the context when that ended.
	Err error
	// Output is the daemon's last words. Those of a panic or another fatal error are the first 10
	// lines of what the Go runtime says of it and, after a line "printed before:", the last 5 that
	// were printed until then. Otherwise they are the last 10 lines that it printed: on standard
	// error if Capture keeps that apart. It is valid UTF-8, and a line has at most 1 KiB.
	//
	// What is printed to a LogFile that is a terminal, a FIFO or the like cannot be read back; the
	// words are then only the runtime's.
	Output string

	status int
}

// Error is the daemon's own text, if it gave one. Otherwise it is one line about what happened,
// followed by the lines that the daemon printed.
func (e *LaunchError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	s := fmt.Sprintf("%s: %v", e.Phase, e.Err)
	if e.Output != "" {
		s += "\n" + e.Output
	}
	return s
}

// Unwrap returns Err.
func (e *LaunchError) Unwrap() error { return e.Err }

// ExitStatus is what the launcher should exit with: the daemon's own status, 128+N if signal N
// killed it, 124 if it was not ready in time, 125 if it was not to be started.
func (e *LaunchError) ExitStatus() int { return e.status }

// notReadyError is the reason of a time-out.
type notReadyError struct {
	pid   int // 0: there was none yet
	after time.Duration
}

func (e *notReadyError) Error() string {
	if e.pid == 0 {
		return fmt.Sprintf("not ready within %v", e.after)
	}
	return fmt.Sprintf("daemon %d did not say that it is ready within %v", e.pid, e.after)
}

func (e *notReadyError) Unwrap() error { return context.DeadlineExceeded }
