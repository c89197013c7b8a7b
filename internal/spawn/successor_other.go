//go:build !unix

package spawn

import (
	"context"

	"github.com/daemonry/daemonry/internal/sys"
)

// Reap takes in the ended successor.
func (h *Successor) Reap() (Exit, error) { return Exit{}, sys.Unsupported("wait4") }

type intermediary struct{}

func startIntermediate(context.Context, *Spec) (*intermediary, int, error) {
	return nil, 0, fail(StepStart, "", sys.Unsupported("fork"))
}

func (i *intermediary) held() error { return nil }

func (i *intermediary) leave() error { return nil }

// Replace executes another program in this process.
func Replace(string, []string, []string, []Handover) error {
	return fail(StepExec, "", sys.Unsupported("execve"))
}

func heldBefore(int, sys.Channel) bool { return false }
