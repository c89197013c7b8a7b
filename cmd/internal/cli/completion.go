package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daemonry/daemonry/spec"
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
	if len(words) != 1 {
		e := usagef("", "name one shell")
		e.hint = "one of " + strings.Join(shellNames(), ", ")
		return e
	}
	write, known := shells[words[0]]
	if !known {
		e := usagef("", "%q is not a shell that is known here", words[0])
		e.hint = "one of " + strings.Join(shellNames(), ", ")
		if near := spec.Nearest(words[0], shellNames()); near != "" {
			e.hint = fmt.Sprintf("did you mean %q?", near)
		}
		return e
	}
	// the name is all that a script has of it: it asks for the rest
	return write(a, &cobra.Command{Use: program})
}
