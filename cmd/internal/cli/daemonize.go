package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// personality is the name under which we are daemonize(1).
const personality = "daemonize"

// daemonizePath is the PATH of a program started without one.
const daemonizePath = "/usr/local/sbin:/sbin:/bin:/usr/sbin:/usr/bin"

// complaint is a failure that daemonize has a sentence of its own for; scripts
// know it. Its exit status is 1.
type complaint string

func (c complaint) Error() string { return string(c) }

func complainf(format string, args ...any) complaint {
	return complaint(fmt.Sprintf(format, args...))
}

// daemonize is daemonize(1): its options, its checks, its sentences. What it
// could not tell, for it had returned by then, is told as "detach" does, with
// that command's exit statuses.
func (a *app) daemonize(name string, words []string) int {
	if os.Getuid() != os.Geteuid() {
		return a.complain(complaint("This executable is too dangerous to be setuid."))
	}
	o, err := parseDaemonize(words)
	if err == nil && len(o.command) == 0 {
		err = badOption{} // none is bad, but usage is the answer
	}
	if err != nil {
		return a.complainUsage(name, err)
	}
	options, err := o.check()
	if err != nil {
		return a.complain(err)
	}
	a.daemonizeVerbose(o)
	ctx, done := untilSignal()
	defer done()
	options.Leave = true
	if _, err = detach.Run(ctx, options); err != nil {
		return a.complain(o.translate(err))
	}
	return exitOK
}

// complain says a sentence of daemonize's as it would, anything else as we do.
func (a *app) complain(err error) int {
	if c, ok := errors.AsType[complaint](err); ok {
		fmt.Fprintln(a.err, printable(string(c)))
		return exitFailed
	}
	a.explain(personality, err)
	return exitStatus(err)
}

// complainUsage is complain for what parseDaemonize found: a bad option brings the usage.
func (a *app) complainUsage(name string, err error) int {
	bad, ok := errors.AsType[badOption](err)
	if !ok {
		return a.complain(err)
	}
	if bad.letter != "" {
		fmt.Fprintln(a.err, printable(bad.Error()))
	}
	fmt.Fprintf(a.err, daemonizeUsage, filepath.Base(name), thisBuild().Version)
	return exitFailed
}

// check does what daemonize checks before it starts anything, in its order.
func (o *daemonizeOptions) check() (detach.Options, error) {
	path := o.command[0]
	if !strings.HasPrefix(path, "/") {
		return detach.Options{}, complaint("The 'path' parameter must be an absolute path name.")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return detach.Options{}, complainf("File %q does not exist.", path)
	case err != nil:
		return detach.Options{}, fmt.Errorf("%s: %w", path, err)
	case !info.Mode().IsRegular():
		return detach.Options{}, complainf("File %q is not regular file.", path)
	case info.Mode().Perm()&0o111 == 0:
		return detach.Options{}, complainf("File %q is not executable.", path)
	}
	if o.user != "" {
		if os.Getuid() != 0 {
			return detach.Options{}, complaint("Must be root to specify a different user.")
		}
		if _, err := launch.LookupAccount(o.user); err != nil || strings.Contains(o.user, ":") {
			return detach.Options{}, complainf("Can't find user %q in password file.", o.user)
		}
	}
	s, err := service(o.service(), o.command)
	return detach.Options{Service: s}, err
}

// service is what the options mean in our terms.
func (o *daemonizeOptions) service() spec.Service {
	s := spec.Service{Process: spec.Process{
		User: o.user, Chdir: o.dir, Pidfile: o.pidfile, Lockfile: o.lock,
		Stdout: o.output(o.stdout), Stderr: o.output(o.stderr),
	}}
	if o.stderr != "" && o.stderr == o.stdout {
		s.Stderr = spec.Stream{Kind: spec.StreamStdout}
	}
	for _, v := range o.env {
		name, val, _ := strings.Cut(v, "=")
		put(&s.Env, name, val)
	}
	if _, has := os.LookupEnv("PATH"); !has && s.Env["PATH"] == "" {
		put(&s.Env, "PATH", daemonizePath)
	}
	return s
}

// output is the file of -o or -e, whatever it is called.
func (o *daemonizeOptions) output(file string) spec.Stream {
	switch {
	case file == "":
		return spec.Stream{Kind: spec.StreamNull}
	case o.appends:
		return spec.Stream{Kind: spec.StreamPath, Path: file}
	}
	return spec.Stream{Kind: spec.StreamTruncate, Path: file}
}

// daemonizeVerbose says what is about to happen. Whether it can is known only
// when it has: a failure is told after it.
func (a *app) daemonizeVerbose(o daemonizeOptions) {
	if !o.verbose {
		return
	}
	say := func(format, file string) {
		if file != "" {
			// Output that nobody takes does not keep a daemon from starting.
			fmt.Fprintln(a.out, printable(fmt.Sprintf(format, file)))
		}
	}
	open := "Overwriting %s"
	if o.appends {
		open = "Appending to %s"
	}
	say("Creating PID file %q.", o.pidfile)
	say(open, o.stdout)
	if o.stderr != o.stdout {
		say(open, o.stderr)
	}
	fmt.Fprintln(a.out, "Daemonizing...")
	say("Writing process ID to %q.", o.pidfile)
}

// translate finds daemonize's sentence for a failure that it would have seen itself.
func (o *daemonizeOptions) translate(err error) error {
	if step, ok := errors.AsType[*spawn.StepError](err); ok {
		switch {
		case step.Step == spawn.StepDirectory:
			return complainf("Can't change working directory to %q: %v", o.dir, step.Err)
		case step.Step == spawn.StepExec && o.user == "" && errors.Is(err, fs.ErrPermission):
			return complainf("File %q is not executable.", o.command[0])
		}
		return err
	}
	if o.lock != "" && errors.Is(err, sys.ErrLocked) {
		return complainf("Can't lock the lock file %q. Is another instance running?", o.lock)
	}
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	for _, f := range []struct{ file, sentence string }{
		{o.lock, "Can't create lock file %q: %v"},
		{o.pidfile, "Can't create PID file %q: %v"},
		{o.stdout, "Can't open %q for stdout: %v"},
		{o.stderr, "Can't open %q for stderr: %v"},
	} {
		if abs, absErr := filepath.Abs(f.file); f.file != "" && absErr == nil && abs == path.Path {
			return complainf(f.sentence, f.file, reason(path.Err))
		}
	}
	return err
}

// reason is the error number inside err, which is all that daemonize would say.
func reason(err error) error {
	if errno, ok := sys.Errno(err); ok {
		return errno
	}
	return err
}

// daemonizeUsage is a format for the name of the program and our version.
//
//go:embed help/daemonize.txt
var daemonizeUsage string
