//go:build !unix

package spawn

import "github.com/daemonry/daemonry/internal/sys"

const (
	threadsOwnFS = false
	canBearInto  = false
	watcherMagic = ""
)

func startStage(*description) (int, error) { return 0, fail(StepStart, "", sys.Unsupported("fork")) }

func startStageOn(d *description, _ func(func())) (int, error) { return startStage(d) }

func startFromThread(*description) (int, error) {
	return 0, fail(StepStart, "", sys.Unsupported("fork"))
}

func startHere(*description) (int, error) {
	return 0, fail(StepStart, "", sys.Unsupported("fork"))
}

func reexec(string, bool) (int, sys.Channel, error) {
	return 0, -1, fail(StepStart, "", sys.Unsupported("fork"))
}

func reapFailed(int) error { return nil }

func endSession(int) error { return nil }

func exitOf(status uint32) Exit { return Exit{Code: int(status)} }
