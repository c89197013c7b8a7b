// Package cli turns words into calls, and results into text, JSON and exit codes. It decides
// nothing.
//
// Every command is a verb, in the file of its name: options, and a function that makes one call;
// its page of help is help/NAME.md. Cobra takes the words apart and completes them for shells; only
// the verb that is called is built, because an option parser that costs a millisecond would be most
// of a launch. What a verb returns is told in one place (errors.go), so that an exit status means
// the same everywhere (docs/exit-status.md).
//
// Rules of output: what was asked for goes to standard output, and nothing
// else does. Standard error gets one line "daemonry: what: why", in lower case,
// then a program's last words, each after "| ", then a hint on a line of its
// own. Colour, and lines that erase themselves, only on a terminal.
package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daemonry/daemonry/internal/boot"
)

// program is the name in messages, whatever the file is called.
const program = "daemonry"

// Main runs the command that args, with the program's own name first, ask for,
// and returns its exit status. Called under the name "daemonize" it takes that
// program's options.
func Main(args []string, stdout, stderr io.Writer) int {
	a := &app{out: onScreen(stdout), err: onScreen(stderr)}
	if len(args) == 0 {
		args = []string{program}
	}
	if filepath.Base(args[0]) == personality {
		return a.daemonize(args[0], args[1:])
	}
	if len(args) > 1 && args[1] == personality {
		// under the name itself that is a bad option, as it is to daemonize(1)
		if len(args) == 3 && args[2] == "--help" {
			_, err := fmt.Fprintf(a.out, daemonizeUsage, program+" "+personality,
				thisBuild().Version)
			return a.report(unread(err))
		}
		return a.daemonize(personality, args[2:])
	}
	return a.report(unread(cmp.Or(a.execute(args[1:]), a.unsaid)))
}

// app is one run of the command.
type app struct {
	out, err io.Writer
	unsaid   error // why help could not be written; other output is the business of the command
	// describes says that options are asked for with what they do: to complete a command line.
	describes bool
	// machine is what "enable" changes. Nil is the one we run on; tests have another.
	machine func() (*boot.Machine, boot.Evidence, error)
}

// execute finds the verb and lets cobra do the rest.
func (a *app) execute(words []string) error {
	if len(words) == 0 {
		return usagef("no command given")
	}
	name := words[0]
	known := slices.ContainsFunc(verbs, func(e entry) bool { return e.name == name })
	if !known && !slices.Contains(cobraVerbs, name) && !strings.HasPrefix(name, "-") {
		return usagef("unknown command %q", name).advise(meant("%q", name, verbNames()))
	}
	a.describes = !known
	root := a.command(a.rootVerb())
	root.CompletionOptions.DisableDefaultCmd = true // completion.go has ours
	for _, e := range verbs {
		if e.name == name || !known {
			root.AddCommand(a.command(e.verb(a)))
		}
	}
	root.SetArgs(words)
	return root.Execute()
}

// cobraVerbs are commands that cobra brings and that need all others to be there.
var cobraVerbs = []string{"help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}

// entry is a verb that has not been built yet.
type entry struct {
	name  string
	build func(*app) *verb
}

func (e entry) verb(a *app) *verb {
	v := e.build(a)
	v.name = e.name
	return v
}

// verbs are all commands in the order in which help lists them.
var verbs = []entry{
	{"detach", detachVerb},
	{"check", checkVerb},
	{"start", startVerb},
	{"stop", stopVerb},
	{"restart", restartVerb},
	{"reload", reloadVerb},
	{"signal", signalVerb},
	{"wait", waitVerb},
	{"remove", removeVerb},
	{"status", statusVerb},
	{"logs", logsVerb},
	{"events", eventsVerb},
	{"up", upVerb},
	{"down", downVerb},
	{"validate", validateVerb},
	{"export", exportVerb},
	{"import", importVerb},
	{"run", runVerb},
	{"supervisor", supervisorVerb},
	{"enable", enableVerb},
	{"disable", disableVerb},
	{"version", versionVerb},
	{"completion", completionVerb},
}

func verbNames() []string { return each(verbs, func(e entry) string { return e.name }) }

// each is what f makes of each element of a list.
func each[T, U any](list []T, f func(T) U) []U {
	made := make([]U, len(list))
	for i, one := range list {
		made[i] = f(one)
	}
	return made
}

// verb is one command.
type verb struct {
	name    string // the word on the command line
	options options
	list    func() []row // what ends the last section of its own on its page; nil: nothing
	// leading options end at the first word that is none: the rest belongs to a program.
	leading bool
	run     func(words []string) error
	follows []string // words that may follow, for a shell to complete
	// program is run in its place when "--" is the first word: what follows is a command line.
	program func(words []string) error
}

// call runs what the words ask for. dash is how many words stand before a "--", -1 if there is
// none.
func (v *verb) call(words []string, dash int) error {
	if v.program != nil && dash == 0 {
		return v.program(words)
	}
	return v.run(words)
}

// rootVerb is "daemonry" itself.
func (a *app) rootVerb() *verb {
	var version bool
	return &verb{
		name: program, list: commandList,
		options: []group{{"", []option{{"version", "", "", toggle(&version)}}}},
		run: func([]string) error {
			if version {
				return a.printVersion(false)
			}
			return usagef("no command given")
		},
	}
}

// command gives a verb to cobra.
func (a *app) command(v *verb) *cobra.Command {
	c := &cobra.Command{
		Use:           v.name,
		Short:         shortOf(v.name),
		Args:          cobra.ArbitraryArgs,
		ValidArgs:     v.follows,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, words []string) error {
			return inVerb(v.name, v.call(words, c.ArgsLenAtDash()))
		},
	}
	c.SetOut(a.out)
	c.SetErr(a.err)
	flags := c.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(!v.leading)
	var texts map[string]string
	if a.describes {
		texts = v.page().texts
	}
	for _, g := range v.options {
		for _, o := range g.options {
			add := flags.FuncP
			if o.arg == "" {
				add = flags.BoolFuncP
			}
			add(o.long(), o.letter(), texts[o.long()], o.set)
		}
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return inVerb(v.name, flagError(v, err))
	})
	c.SetHelpFunc(func(*cobra.Command, []string) {
		_, a.unsaid = fmt.Fprint(a.out, v.page().text())
	})
	return c
}
