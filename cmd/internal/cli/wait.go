package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// waitCall is what the words of "daemonry wait" ask for.
type waitCall struct {
	change
	state   control.State
	timeout *spec.Duration
}

func waitVerb(a *app) *verb {
	call := &waitCall{state: control.Ready}
	return &verb{
		options: []group{{"", append([]option{
			{"for", "STATE", "ready", parsed(&call.state, waitable)},
			{"timeout", "DURATION", "forever", parsedTo(&call.timeout, spec.ParseDuration)},
		}, call.options()...)}},
		run: func(words []string) error { return a.wait(call, words) },
	}
}

func waitable(text string) (control.State, error) {
	if s := control.State(text); s == control.Ready || s == control.Stopped {
		return s, nil
	}
	return "", &spec.HintError{Message: fmt.Sprintf("%q cannot be waited for", text),
		Hint: `one of "ready", "stopped"`}
}

func (a *app) wait(call *waitCall, words []string) error {
	there := isUp
	if call.state == control.Stopped {
		there = isDown
	}
	wait := func(s *session, ctx context.Context, n control.Names) error {
		r := control.WaitRequest{Names: n, State: call.state}
		if call.timeout != nil {
			r.Timeout = *call.timeout
		}
		return s.Wait(ctx, r)
	}
	err := a.changed(&call.change, words, there, wait)
	if failed, ok := errors.AsType[*detach.Error](err); ok {
		failed.Status = exitFailed // nothing was launched whose status it could be
	}
	return err
}
