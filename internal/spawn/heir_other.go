//go:build !unix

package spawn

import "github.com/daemonry/daemonry/internal/sys"

const heirMagic = ""

// Reap takes in the ended heir.
func (h *Heir) Reap() (Exit, error) { return Exit{}, sys.Unsupported("wait4") }

func (h *Heir) reapNow() error { return nil }

// Replace executes another program in this process.
func Replace(string, []string, []string, []Legacy) error {
	return fail(StepExec, "", sys.Unsupported("execve"))
}
