//go:build !plan9

package daemonry

import (
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Signal sends sig to the daemon.
func (i *Instance) Signal(sig syscall.Signal) error { return i.file.Signal(sig) }

// Commands are the words of a "-s" option, each with the signal it sends.
type Commands map[string]syscall.Signal

// DefaultCommands are those of nginx -s and many others. The caller may change them.
func DefaultCommands() Commands {
	return Commands{
		"stop":   syscall.SIGTERM,
		"quit":   syscall.SIGQUIT,
		"reload": sys.SIGHUP,
		"reopen": sys.SIGUSR1,
	}
}

// ends says whether a daemon ends by sig.
func ends(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGKILL:
		return true
	}
	return false
}

// catchable says whether a program can get sig (signal(7)).
func catchable(sig syscall.Signal) bool {
	return sig > 0 && sig != syscall.SIGKILL && sig != sys.SIGSTOP
}
