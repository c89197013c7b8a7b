package pidfile

import (
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Signal returns an error: here nothing proves whose a pid is.
func (i *Instance) Signal(syscall.Note) error { return sys.Unsupported("kill") }
