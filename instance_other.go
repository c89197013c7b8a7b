//go:build !unix

package daemonry

import "syscall"

// DefaultCommands are those of nginx -s, as far as the system has signals.
var DefaultCommands = Commands{"stop": syscall.SIGTERM, "quit": syscall.SIGQUIT, "reload": syscall.SIGHUP}
