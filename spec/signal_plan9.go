package spec

import (
	"errors"
	"fmt"
	"syscall"
)

// Number returns an error: this system has notes, not signals.
func (s Signal) Number() (int, error) {
	return 0, fmt.Errorf("signal %s: %w", s, errors.ErrUnsupported)
}

// SignalOf returns the note's text.
func SignalOf(n syscall.Note) Signal { return Signal(n) }
