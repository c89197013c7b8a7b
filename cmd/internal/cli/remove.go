package cli

import "context"

func removeVerb(a *app) *verb {
	call := &change{}
	return &verb{
		options: []group{{"", []option{call.option()}}},
		run:     func(words []string) error { return a.remove(call, words) },
	}
}

func (a *app) remove(call *change, words []string) error {
	names, s, err := a.asked(call.chosen, words)
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	err = a.watching(ctx, s, nil, isDown, func(ctx context.Context) error {
		return s.Remove(ctx, names)
	})
	return unawaited(ctx, err, say(names), words)
}
