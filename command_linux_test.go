package daemonry_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
)

func TestCommandFlag(t *testing.T) {
	var command daemonry.Command
	if got := command.Words(); got != "quit, reload, reopen, stop, status" {
		t.Error(got)
	}
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&command, "s", "send `word`: "+command.Words())
	if err := flags.Parse([]string{"-s", "reload"}); err != nil || command.Word != "reload" {
		t.Errorf("%q, %v", command.Word, err)
	}
	err := flags.Parse([]string{"-s", "halt"})
	if err == nil || !strings.Contains(err.Error(), "use one of "+command.Words()) {
		t.Error(err)
	}
}

// TestCommandRun: what a person sees of a daemon that runs, obeys, and does not run.
func TestCommandRun(t *testing.T) {
	dir := t.TempDir()
	pidFile, log := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	do := func(word string, status int, out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		c := daemonry.Command{Word: word}
		if got := c.Run(t.Context(), pidFile, &stdout, &stderr); got != status ||
			!strings.HasPrefix(stdout.String(), out) || !strings.HasPrefix(stderr.String(), errs) ||
			(out == "") != (stdout.Len() == 0) || (errs == "") != (stderr.Len() == 0) {
			t.Errorf("%s: status %d, %q, %q", word, got, stdout.String(), stderr.String())
		}
	}
	do("status", 3, "not running: pid file "+pidFile, "")
	do("stop", 3, "", "pid file "+pidFile)
	begin := time.Now().Truncate(time.Second).Add(-2 * time.Second)
	pid, _, errs, _ := run(t, printer.Command(t, "pid="+pidFile, "log="+log))
	if pid == 0 {
		t.Fatal(errs)
	}
	i, err := daemonry.Find(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if i.PID != pid || i.Since.Before(begin) || i.Since.After(time.Now().Add(2*time.Second)) ||
		!slices.Equal(i.Command[1:], []string{"pid=" + pidFile, "log=" + log}) {
		t.Errorf("%+v", i)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	do("status", 0, "running, pid ", "")
	do("reopen", 0, "", "")
	do("stop", 0, "", "")
	do("status", 3, "not running: ", "")
	if err := os.WriteFile(pidFile, []byte("rubbish"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(pidFile, 0o666); err != nil {
		t.Fatal(err)
	}
	do("status", 4, "", "pid file "+pidFile)
	do("stop", 1, "", "pid file "+pidFile)
}

// TestServeEndsWithTheHandlersError that the daemon can tell why it ends.
func TestObeyRefusesWhatNoProgramGets(t *testing.T) {
	for _, sig := range []syscall.Signal{0, syscall.SIGKILL, syscall.SIGSTOP} {
		o, err := daemonry.Commands{"go": sig}.Obey(daemonry.Handlers{
			"go": func(context.Context) error { return nil },
		})
		if err == nil {
			o.Close()
			t.Errorf("%d was taken", sig)
		}
	}
}

// TestWordsOfOneSignal have their handlers called in one order.
func TestWordsOfOneSignal(t *testing.T) {
	c := daemonry.Commands{}
	h := daemonry.Handlers{}
	called, want := "", "abcdefgh"
	for _, word := range strings.Split(want, "") {
		c[word] = syscall.SIGUSR2
		h[word] = func(context.Context) error {
			if called += word; len(called) == len(want) {
				return daemonry.ErrStop
			}
			return nil
		}
	}
	o, err := c.Obey(h)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if err := o.Serve(t.Context()); err != nil || called != want {
		t.Errorf("%v, called %q", err, called)
	}
}

func TestServeEndsWithTheHandlersError(t *testing.T) {
	dir := t.TempDir()
	pidFile, log := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	pid, _, errs, _ := run(t, printer.Command(t, "pid="+pidFile, "log="+log))
	if pid == 0 {
		t.Fatal(errs)
	}
	send(t, pidFile, "reload")
	mustHold(t, log, "out1\nerr1\nout2err2\nreload: cannot reload\n")
}

func TestObeyRefusesWhatItCannotDo(t *testing.T) {
	for _, h := range []daemonry.Handlers{
		nil, {"halt": func(context.Context) error { return nil }}, {"stop": nil},
	} {
		if o, err := daemonry.DefaultCommands().Obey(h); err == nil {
			o.Close()
			t.Errorf("%v: no error", h)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	o, err := daemonry.DefaultCommands().Obey(daemonry.Handlers{
		"reopen": func(context.Context) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	cancel(errors.New("enough"))
	if err := o.Serve(ctx); err != nil {
		t.Error(err)
	}
}
