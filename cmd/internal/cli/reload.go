package cli

func reloadVerb(a *app) *verb {
	call := &change{}
	return &verb{
		options: []group{{"", call.options()}},
		run: func(words []string) error {
			return a.changed(call, words, isUp, (*session).Reload)
		},
	}
}
