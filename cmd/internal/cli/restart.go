package cli

import (
	"errors"

	"github.com/daemonry/daemonry/cmd/internal/detach"
)

// restartCall is what the words of "daemonry restart" ask for.
type restartCall struct {
	change
	rolling bool
}

func restartVerb(a *app) *verb {
	call := &restartCall{}
	return &verb{
		options: []group{{"", append([]option{
			{"rolling", "", "", toggle(&call.rolling)},
		}, call.options()...)}},
		run: func(words []string) error {
			if call.rolling {
				return a.restartRolling(call, words)
			}
			return a.changed(&call.change, words, isUp, (*session).Restart)
		},
	}
}

func (a *app) restartRolling(call *restartCall, words []string) error {
	err := a.changed(&call.change, words, isUp, (*session).RestartRolling)
	if failed, ok := errors.AsType[*detach.Error](err); ok {
		// the service is up: it is not the status of a service that could not be started
		failed.Status = exitFailed
	}
	return err
}
