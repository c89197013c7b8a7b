package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/spec"
)

// detachCall is what the words of "daemonry detach" ask for.
type detachCall struct {
	detach.Options
	json, quiet bool
}

func detachVerb(a *app) *verb {
	call := &detachCall{}
	return &verb{page: detachPage(call), leading: true, run: func(words []string) error {
		return a.detach(call, words)
	}}
}

func (a *app) detach(call *detachCall, words []string) error {
	if len(words) == 0 {
		e := usagef("", "no program given")
		e.hint = "daemonry detach [OPTION…] -- PROGRAM [ARG…]"
		return e
	}
	s, err := service(call.Service, words)
	if err != nil {
		return err
	}
	call.Service = s
	line := a.statusLine(call.quiet)
	if line != nil {
		call.Waiting = line.show
	}
	ctx, done := context.Background(), func() {}
	if s.Ready.Kind != spec.ProbeExec {
		// Otherwise nothing is waited for, and catching signals would be a tenth of the whole
		// launch.
		ctx, done = untilSignal()
	}
	defer done()
	call.Leave = true // there is nothing else to do
	result, err := detach.Run(ctx, call.Options)
	line.erase()
	if err != nil {
		return err
	}
	return a.announce(call, result)
}

// service completes and checks a description from the command line.
func service(s spec.Service, words []string) (spec.Service, error) {
	s.Name = serviceName(words[0])
	s.Command = words
	s, err := here(s)
	if err != nil {
		return s, err
	}
	if problems := s.Validate(); len(problems) > 0 {
		return s, problem(problems[0])
	}
	return s, nil
}

// serviceName is the name of a program that has been given none: its file's,
// where that is one.
func serviceName(program string) string {
	name := filepath.Base(program)
	if spec.CheckName(name) != nil {
		return "daemon"
	}
	return name
}

// announce tells of a daemon that is up. If it cannot be told, that is a failure, but
// not the daemon's, which is left running: two truths in one line.
func (a *app) announce(call *detachCall, result detach.Result) error {
	if result.Note != "" && !call.quiet {
		fmt.Fprintf(a.err, "%s: %s\n", program, oneLine(result.Note))
	}
	var err error
	switch {
	case call.json:
		err = a.writeJSON(struct {
			PID  int           `json:"pid"`
			Took spec.Duration `json:"took"`
			Note string        `json:"note,omitempty"`
		}{result.PID, spec.Duration(result.Took), result.Note})
	case !call.quiet:
		_, err = fmt.Fprintln(a.out, result.PID)
	}
	if err != nil {
		return &statusError{status: exitOurs, err: fmt.Errorf("the daemon is up as process %d, but that could not be said: %w", result.PID, err)}
	}
	return nil
}

// untilSignal returns a context that ends, with the signal as its cause, when
// the caller wants no more. A signal that was ignored when we were started
// (nohup, a background job of a shell without job control) stays ignored.
//
// SIGPIPE is caught, so that a reader of our output who has gone away becomes an
// error of the write that met it and not our silent death (os/signal, "SIGPIPE");
// ignoring it instead would be inherited by what we start.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	caught := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	go func() {
		select {
		case sig := <-caught:
			cancel(detach.Interrupted{Signal: sig.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		cancel(nil) // SIGPIPE stays taken: the pid is yet to be written
	}
}
