//go:build !unix

package upgrade

import (
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

const (
	defaultSignal = syscall.SIGHUP
	sigcont       = syscall.Signal(0)
)

func supported() error { return sys.Unsupported("upgrade") }

func becomeWaiter() error { return sys.Unsupported("wait4") }
