package boot

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// verbs are what Run knows.
var verbs = []string{"install", "uninstall", "start", "stop", "restart", "status"}

// IsVerb tells whether a word of the command line is one for Run: install,
// uninstall, start, stop, restart or status.
func IsVerb(word string) bool { return slices.Contains(verbs, word) }

// The exit statuses of Run, which are those of the daemonry command. Status
// answers as the Linux Standard Base has it for init scripts.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3 // status: it is not running, or not installed
	exitUnknown    = 4 // status: nobody could be asked
)

// Run carries out a verb of the command line, tells a person about it, and
// returns the exit status: 0; 1 if it failed, with the reason on stderr; 2 if
// verb is none of those. For status it is 0 if the service runs, 3 if it does
// not, 4 if that is not known.
func (s Service) Run(ctx context.Context, verb string, stdout, stderr io.Writer) int {
	name, _, err := s.find()
	if name == "" {
		name = "service"
	}
	failed := func(err error) int {
		fmt.Fprintf(stderr, "%s: %s: %v\n", name, verb, err)
		if verb == "status" {
			return exitUnknown
		}
		return exitFailed
	}
	if !IsVerb(verb) {
		fmt.Fprintf(stderr, "%s: no verb %q: %s\n", name, verb, strings.Join(verbs, ", "))
		return exitUsage
	}
	if err != nil {
		return failed(err)
	}
	switch verb {
	case "install", "uninstall":
		return s.runChange(ctx, verb, name, stdout, stderr, failed)
	case "start":
		err = s.Start(ctx)
	case "stop":
		err = s.Stop(ctx)
	case "restart":
		err = s.Restart(ctx)
	case "status":
		return s.runStatus(ctx, name, stdout, failed)
	}
	if err != nil {
		return failed(err)
	}
	return exitOK
}

func (s Service) runChange(
	ctx context.Context, verb, name string, stdout, stderr io.Writer, failed func(error) int,
) int {
	do := s.Install
	if verb == "uninstall" {
		do = s.Uninstall
	}
	r, err := do(ctx)
	if err != nil {
		return failed(err)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(stderr, "%s: %s\n", name, note)
	}
	switch {
	case len(r.Steps) == 0:
		fmt.Fprintf(stdout, "%s: %s: nothing to do\n", name, r.System)
	case s.DryRun:
		fmt.Fprintln(stdout, strings.Join(r.Steps, "\n"))
	default:
		fmt.Fprintf(stdout, "%s: %sed as a service of %s\n", name, verb, r.System)
	}
	return exitOK
}

func (s Service) runStatus(
	ctx context.Context, name string, stdout io.Writer, failed func(error) int,
) int {
	st, err := s.Status(ctx)
	if err != nil {
		return failed(err)
	}
	words := []string{"not running"}
	switch {
	case !st.Installed:
		words = []string{"not installed"}
	case st.Running:
		words = []string{"running"}
	}
	if st.PID > 0 {
		words = append(words, "pid "+strconv.Itoa(st.PID))
	}
	if st.Installed && !st.Running && st.State != "" {
		words = append(words, st.State)
	}
	if st.Enabled {
		words = append(words, "started at boot")
	}
	fmt.Fprintf(stdout, "%s: %s (%s)\n", name, strings.Join(words, ", "), st.System)
	if st.Running {
		return exitOK
	}
	return exitNotRunning
}
