package detach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

// killGrace is what a daemon that did not become ready has between SIGTERM and SIGKILL.
const killGrace = 2 * time.Second

// Interrupted is the cause (context.Cause) of a launch that ended because its caller got a signal.
type Interrupted struct{ Signal syscall.Signal }

func (i Interrupted) Error() string { return "interrupted by " + sys.SignalName(i.Signal) }

// attempt is one run of Run.
type attempt struct {
	o       Options
	s       spec.Service // with defaults
	spawn   spawn.Spec
	streams *launch.Streams
	words   lastWords
	pidfile *pidfile.File
	lock    *os.File
	ready   readiness
}

// run goes through the phases of a launch. What can fail before anything is
// started is done before anything is created.
func (l *attempt) run(ctx context.Context) (Result, error) {
	started := time.Now()
	defer l.close()
	explicit := l.o.Service.Ready.Kind != ""
	l.s = l.o.Service.WithDefaults()
	l.ready = readiness{asked: explicit}
	p, done := l.patience(ctx)
	defer done()
	if err := l.prepare(p); err != nil {
		return Result{}, l.failed(ctx, err)
	}
	if err := l.claim(p); err != nil {
		l.abandon()
		return Result{}, l.failed(ctx, err)
	}
	if l.s.Ready.Kind == spec.ProbeExec {
		if r, err := l.leaveBehind(ctx, p); !errors.Is(err, spawn.ErrNeedsWatcher) {
			r.Took = time.Since(started)
			return r, err
		}
		// Nothing is waited for. But with a pid file the watcher stays until that is written, so
		// that the pid is the daemon's for sure.
		l.spawn.LetGo = l.pidfile == nil
	}
	d, err := spawn.Detach(p, &l.spawn)
	if err != nil {
		l.abandon()
		return Result{}, l.failed(ctx, err)
	}
	r := Result{PID: d.PID}
	if err := l.await(ctx, p, d, &r); err != nil {
		l.abandon()
		return Result{}, err
	}
	r.Took = time.Since(started)
	return r, nil
}

// leaveBehind is the short way, for a daemon that nothing is waited for. With a pid file somebody
// has to end it, should we be killed before it is in there.
func (l *attempt) leaveBehind(ctx context.Context, p patience) (Result, error) {
	if !l.o.Leave || l.pidfile != nil {
		return Result{}, spawn.ErrNeedsWatcher
	}
	pid, err := spawn.LeaveBehind(p, &l.spawn)
	if errors.Is(err, spawn.ErrNeedsWatcher) {
		return Result{}, err
	}
	if err != nil {
		l.abandon()
		return Result{}, l.failed(ctx, err)
	}
	return Result{PID: pid}, nil
}

// prepare works out what to start, without a trace.
func (l *attempt) prepare(p patience) error {
	if len(l.s.Command) == 0 {
		return errors.New("no program given")
	}
	dir, name := ".", l.name()
	if l.s.Chroot == "" && strings.Contains(name, "/") && !filepath.IsAbs(name) {
		wd, err := os.Getwd()
		if err != nil {
			return fmt.Errorf("%s: relative to the working directory, which cannot be found: %w",
				name, err)
		}
		dir = wd
	}
	err := launch.Describe(p, &l.spawn, l.s.Process, l.s.Command, os.Environ(), dir)
	if err != nil {
		return err
	}
	if l.o.Argv0 != "" {
		l.spawn.Args[0] = l.o.Argv0
	}
	for _, fd := range l.o.PassFDs {
		if fd < 3 || !sys.DescriptorOpen(fd) {
			return fmt.Errorf("pass descriptor %d: not an open descriptor above 2", fd)
		}
		l.spawn.Files = append(l.spawn.Files, spawn.File{FD: fd, Source: passedFile(fd)})
	}
	return nil
}

// passedFile makes an os.File of a descriptor that is not ours to close.
func passedFile(fd int) *os.File {
	if dup, err := sys.DupAbove(fd, 3); err == nil {
		return os.NewFile(uintptr(dup), fmt.Sprintf("descriptor %d", fd))
	}
	return nil
}

// claim takes what only one may have, and opens what the program will use.
func (l *attempt) claim(p patience) (err error) {
	if l.s.Pidfile != "" {
		if l.pidfile, err = sys.Within(p, "pid file "+l.s.Pidfile, l.acquire,
			giveBack); err != nil {
			return err
		}
		l.spawn.Record = &spawn.Record{File: l.pidfile.File(), Path: l.pidfile.Path()}
		if lock := l.pidfile.LockFile(); lock != nil {
			l.spawn.Files = append(l.spawn.Files, spawn.File{FD: l.freeFD(pidfileFD), Source: lock})
		}
	}
	if l.s.Lockfile != "" {
		open := func() (*os.File, error) { return openLock(l.s.Lockfile) }
		if l.lock, err = sys.Within(p, "lock file "+l.s.Lockfile, open,
			func(f *os.File) { f.Close() }); err != nil {
			return err
		}
		l.spawn.Files = append(l.spawn.Files, spawn.File{FD: l.freeFD(3), Source: l.lock})
	}
	if l.streams, err = launch.OpenStreams(p, l.s.Process, l.spawn.Credential, nil); err != nil {
		return err
	}
	l.spawn.Files = append(l.spawn.Files, l.streams.Files...)
	l.words.begin(l.s.Stderr.Path, l.s.Stdout.Path)
	return l.ready.prepare(p, l)
}

func (l *attempt) acquire() (*pidfile.File, error) {
	mode := spec.Mode(0o644)
	if l.o.PIDFileMode != nil {
		mode = *l.o.PIDFileMode
	}
	return pidfile.Acquire(l.s.Pidfile, pidfile.Options{Mode: os.FileMode(mode), HandDown: true})
}

// giveBack undoes acquire, for whom nobody waits any more.
func giveBack(f *pidfile.File) {
	_ = f.Remove() // if it stays, it is stale and recognised as that
	_ = f.Close()
}

// openLock takes a lock file the way flock(1) and daemonize do: the program gets the descriptor,
// and the lock lives as long as it or a descendant has it open.
func openLock(path string) (*os.File, error) {
	f, _, err := sys.OpenTrusted(path,
		sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600, Regular: true})
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if err := sys.TryFlock(f); err != nil {
		f.Close()
		if errors.Is(err, sys.ErrLocked) {
			err = sys.ErrLocked // without the name of the call
		}
		return nil, fmt.Errorf("lock file %s: %w", path, err)
	}
	return f, nil
}

// pidfileFD is where the program finds the lock on its pid file: out of the way of those who count
// from 3 (sd_listen_fds(3)), and of the numbers that shell scripts use, which have one digit.
const pidfileFD = 10

// freeFD is the lowest number from first on that the program gets nothing else under.
func (l *attempt) freeFD(first int) int {
	for fd := first; ; fd++ {
		taken := l.s.Ready.Kind == spec.ProbeFD && l.s.Ready.FD == fd
		for _, f := range l.spawn.Files {
			taken = taken || f.FD == fd
		}
		if !taken {
			return fd
		}
	}
}

// abandon removes what a failed launch has made.
func (l *attempt) abandon() {
	if l.pidfile != nil {
		// A pid file that cannot be removed is stale and recognised as that.
		_ = l.pidfile.Remove()
	}
	if l.streams != nil {
		_ = l.streams.Discard()
	}
}

// close lets go of our copies of everything.
func (l *attempt) close() {
	l.ready.close()
	if l.pidfile != nil {
		l.pidfile.Close()
	}
	if l.streams != nil {
		l.streams.Close()
	}
	if l.lock != nil {
		l.lock.Close()
	}
	for _, fd := range l.o.PassFDs {
		for _, f := range l.spawn.Files {
			if f.FD == fd {
				f.Source.Close()
			}
		}
	}
}

// ours is an error that is not the program's.
func ours(err error) *Error { return &Error{Status: spawn.StatusFailed, Err: err} }

// failed is the error of a start that did not come off, with the exit status that env(1) would
// have. The context is the caller's, which has no end by the time-out.
func (l *attempt) failed(ctx context.Context, err error) *Error {
	var stop Interrupted
	switch {
	case errors.As(err, &stop):
		return &Error{Status: 128 + int(stop.Signal), Err: fmt.Errorf("%s: %w", l.name(), err)}
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return &Error{
			Status: spawn.StatusNotReady,
			Err:    fmt.Errorf("%s: not started within %v: %w", l.name(), l.s.Timeout, err),
		}
	case errors.Is(err, context.Canceled), ctx.Err() != nil:
		return ours(err) // whatever step it was at
	}
	e := &Error{Status: spawn.StatusOf(err), Err: err}
	switch e.Status {
	case spawn.StatusNotFound:
		e.Err = fmt.Errorf("%s: not found", l.name())
	case spawn.StatusNotExecutable:
		step, _ := errors.AsType[*spawn.StepError](err)
		e.Err = fmt.Errorf("%s: cannot be executed: %w", l.name(), step.Err)
		if errors.Is(step.Err, syscall.ENOEXEC) {
			e.Hint = "a script needs a first line such as #!/bin/sh"
		}
	}
	return e
}
