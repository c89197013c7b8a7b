//go:build unix

package spawn

import (
	"os"
	"syscall"
)

// heirMagic starts the channel of an heir; what follows is in frameBirth.
const heirMagic = "\x00daemonry-heir.\x01"

// Reap takes in the ended heir. An error means that the program reaps all its children itself
// and nobody can tell any more how this one ended.
func (h *Heir) Reap() (Exit, error) {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(h.PID, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return Exit{}, os.NewSyscallError("wait4", err)
		}
		return ExitOf(status), nil
	}
}

func (h *Heir) reapNow() error { return reapFailed(h.PID) }
