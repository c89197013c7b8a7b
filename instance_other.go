//go:build !unix

package daemonry

import "syscall"

// DefaultCommands are those of nginx -s, as far as the system has signals. The caller may change
// them.
func DefaultCommands() Commands {
	return Commands{"stop": syscall.SIGTERM, "quit": syscall.SIGQUIT, "reload": syscall.SIGHUP}
}

func enterRoot(plan) error { return nil } // there is no daemon here
