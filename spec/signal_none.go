//go:build (!unix || aix) && !plan9

package spec

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
)

// Number returns an error: this system has no signals.
func (s Signal) Number() (syscall.Signal, error) {
	return 0, fmt.Errorf("signal %s: %w", s, errors.ErrUnsupported)
}

// SignalOf returns the number as a text.
func SignalOf(n syscall.Signal) Signal { return Signal(strconv.Itoa(int(n))) }
