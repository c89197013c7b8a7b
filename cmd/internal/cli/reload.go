package cli

import (
	"context"

	"github.com/daemonry/daemonry/control"
)

func reloadVerb(a *app) *verb {
	call := &change{}
	return &verb{
		options: []group{{"", call.options()}},
		run: func(words []string) error {
			return a.changed(call, words, isUp, func(ctx context.Context, s *session, n control.Names) error { return s.Reload(ctx, n) })
		},
	}
}
