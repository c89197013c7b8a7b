//go:build unix

package daemonry

import "syscall"

// DefaultCommands are those of nginx -s and many others. The caller may change them.
func DefaultCommands() Commands {
	return Commands{
		"stop":   syscall.SIGTERM,
		"quit":   syscall.SIGQUIT,
		"reload": syscall.SIGHUP,
		"reopen": syscall.SIGUSR1,
	}
}
