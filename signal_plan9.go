package daemonry

import "syscall"

// Signal returns an error: no daemon can be found here.
func (i *Instance) Signal(sig syscall.Note) error { return i.file.Signal(sig) }

// Commands are the words of a "-s" option, each with the note it sends.
type Commands map[string]syscall.Note

// DefaultCommands are those of nginx -s, as far as the system has notes. The caller may change
// them.
func DefaultCommands() Commands {
	return Commands{"stop": syscall.SIGTERM, "reload": syscall.SIGHUP}
}

func ends(sig syscall.Note) bool { return sig == syscall.SIGTERM || sig == syscall.SIGKILL }

func catchable(sig syscall.Note) bool { return sig != "" && sig != syscall.SIGKILL }
