package spawn

import "errors"

// Exit statuses of what did not come up and has none of its own, as timeout(1) and env(1) have
// them.
const (
	StatusNotReady      = 124 // in time
	StatusFailed        = 125
	StatusNotExecutable = 126
	StatusNotFound      = 127
)

// StatusOf is the exit status for a start that failed with err.
func StatusOf(err error) int {
	step, ok := errors.AsType[*StepError](err)
	switch {
	case !ok || step.Step != StepExec:
		return StatusFailed
	case NotFound(step):
		return StatusNotFound
	}
	return StatusNotExecutable
}
