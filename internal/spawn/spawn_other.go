//go:build !unix || aix

package spawn

import (
	"context"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

const (
	threadsOwnFS = false
	canBearInto  = false
	deathWait    = 0
)

// Self refuses at once what could not be done with the path either.
func Self() (string, error) { return "", sys.Unsupported("fork") }

func Guest() error { return nil }

func startStage(context.Context, *description) (int, error) {
	return 0, fail(StepStart, "", sys.Unsupported("fork"))
}

func startStageOn(ctx context.Context, d *description, _ func(func())) (int, error) {
	return startStage(ctx, d)
}

func startFromThread(context.Context, *description) (int, error) {
	return 0, fail(StepStart, "", sys.Unsupported("fork"))
}

func startHere(*description) (int, error) {
	return 0, fail(StepStart, "", sys.Unsupported("fork"))
}

func reexec(context.Context, *orders, *description, bool, *os.File) (reborn, error) {
	return reborn{}, fail(StepStart, "", sys.Unsupported("fork"))
}

func isOpen(int) bool { return true }

func reapFailed(int, words) error { return nil }

func endSession(int) error { return nil }

func killSession(int) {}

func exitOf(status uint32) Exit { return Exit{Code: int(status)} }

func (s *description) far(context.Context) (bool, error) { return false, nil }

type attempt struct{}

func (sp *Spawner) run() {}

func (sp *Spawner) start(ctx context.Context, d *description) (int, error) {
	return startFromThread(ctx, d)
}

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
