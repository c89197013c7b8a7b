//go:build unix

package daemonry

import "syscall"

// DefaultCommands are those of nginx -s and many others.
var DefaultCommands = Commands{
	"stop":   syscall.SIGTERM,
	"quit":   syscall.SIGQUIT,
	"reload": syscall.SIGHUP,
	"reopen": syscall.SIGUSR1,
}
