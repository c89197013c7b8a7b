package cli

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that can complete our words, each with what writes the script for it.
var shells = map[string]func(a *app, root *cobra.Command) error{
	"bash": func(a *app, root *cobra.Command) error {
		return root.GenBashCompletionV2(a.out, true)
	},
	"zsh": func(a *app, root *cobra.Command) error { return root.GenZshCompletion(a.out) },
	"fish": func(a *app, root *cobra.Command) error {
		return root.GenFishCompletion(a.out, true)
	},
	"powershell": func(a *app, root *cobra.Command) error {
		return root.GenPowerShellCompletionWithDesc(a.out)
	},
}

func shellNames() []string { return slices.Sorted(maps.Keys(shells)) }

func completionVerb(a *app) *verb {
	return &verb{
		follows: shellNames(),
		run:     a.completion,
	}
}

func (a *app) completion(words []string) error {
	names := shellNames()
	any := "one of " + strings.Join(names, ", ")
	if len(words) != 1 {
		return usagef("name one shell").advise(any)
	}
	write, known := shells[words[0]]
	if !known {
		return usagef("%q is not a shell that is known here", words[0]).
			advise(cmp.Or(meant("%q", words[0], names), any))
	}
	// the name is all that a script has of it: it asks for the rest
	return write(a, &cobra.Command{Use: program})
}
