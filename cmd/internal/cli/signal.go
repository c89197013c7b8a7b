package cli

import (
	"cmp"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

func (a *app) signalServices(call *signalCall, sig spec.Signal, names []string) error {
	n, s, err := a.asked(call.chosen, names)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	if err := s.Signal(ctx, control.SignalRequest{Names: n, Signal: sig}); err != nil {
		return failure(err, exitFailed, names)
	}
	if !call.json {
		return nil
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: names})
	if err != nil {
		return failure(err, exitFailed, names)
	}
	return a.writeJSON(list)
}

func signalVerb(a *app) *verb {
	call := &signalCall{}
	return &verb{
		options: []group{{"", append(call.options(), call.option())}},
		run:     func(words []string) error { return a.signal(call, words) },
	}
}

// signalCall is what the words of "daemonry signal" ask for.
type signalCall struct {
	instanceCall
	chosen
}

func (a *app) signal(call *signalCall, words []string) (err error) {
	if len(words) == 0 {
		return usagef("no signal given")
	}
	name, err := spec.ParseSignal(words[0])
	if err != nil {
		return usagef("%w", err)
	}
	if call.pidfile == "" {
		return a.signalServices(call, name, words[1:])
	}
	if err := call.alone(call.chosen, words[1:]); err != nil {
		return err
	}
	number, err := name.Number()
	if err != nil {
		return err
	}
	found, err := pidfile.Find(call.pidfile)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, found.Close()) }()
	d := describe(found)
	if err := found.Signal(number); err != nil {
		return err
	}
	if call.json {
		return a.writeJSON([]signalled{{d, name}})
	}
	return nil
}

// signalled is what "signal --json" shows.
type signalled struct {
	instance
	Signal spec.Signal `json:"signal"`
}
