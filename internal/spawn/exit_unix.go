//go:build unix && !aix

package spawn

import "syscall"

func exitOf(status uint32) Exit { return ExitOf(syscall.WaitStatus(status)) }

// ExitOf reads a status of wait(2).
func ExitOf(w syscall.WaitStatus) Exit {
	if w.Signaled() {
		return Exit{Signal: w.Signal(), CoreDump: w.CoreDump()}
	}
	return Exit{Code: w.ExitStatus()}
}
