package cli

import (
	"context"
	"errors"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/control"
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
			{"rolling", "", "Start the new process first, and end the old one when the new one is ready.", "", toggle(&call.rolling)},
		}, call.options()...)}},
		run: func(words []string) error {
			if call.rolling {
				return a.restartRolling(call, words)
			}
			return a.changed(&call.change, words, isUp, func(ctx context.Context, s *session, n control.Names) error { return s.Restart(ctx, n) })
		},
	}
}

func (a *app) restartRolling(call *restartCall, words []string) error {
	err := a.changed(&call.change, words, isUp, func(ctx context.Context, s *session, n control.Names) error { return s.RestartRolling(ctx, n) })
	var failed *detach.Error
	if errors.As(err, &failed) {
		failed.Status = exitFailed // the service is up: it is not the status of a service that could not be started
	}
	return err
}
