package cli

// rootPage is the page of the command as a whole. It builds every verb, so it
// is made only for whoever asks for help.
func rootPage() page {
	verbList := section{title: "commands", intro: "Each has a page of its own: daemonry COMMAND --help."}
	for _, e := range verbs {
		v := e.build(&app{})
		verbList.rows = append(verbList.rows, row{v.name, capitalised(v.short) + "."})
	}
	verbList.rows = append(verbList.rows,
		row{personality, "Take the options of daemonize(1); also under that name."})
	return page{
		name:     program,
		short:    "run programs as daemons",
		synopsis: []string{"daemonry COMMAND [OPTION…] [ARG…]"},
		about:    []string{"Turns any program into a correct daemon, tells the truth about whether it came up, and finds, checks, signals and stops it again."},
		options:  rootOptions(new(bool)),
		sections: []section{verbList},
		statuses: []row{
			{"0", "done"},
			{"1", "failed; the message says why"},
			{"2", "wrong usage"},
			{"other", "see the page of the command"},
		},
		examples: []row{{"daemonry detach --pidfile web.pid -- ./web", "Start a server, and see whether it came up:"}},
		seeAlso:  []string{"docs/cli.md", "docs/exit-status.md", "daemon(7)"},
	}
}

func rootOptions(version *bool) []group {
	return []group{{"", []option{{"version", "", "Print the version.", "", toggle(version)}}}}
}

func capitalised(s string) string { return string(s[0]-'a'+'A') + s[1:] }
