package daemonry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/daemonry/daemonry/internal/account"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
)

const (
	defaultTimeout   = 30 * time.Second
	defaultKillGrace = 2 * time.Second
	defaultUmask     = 0o022
)

func detach(ctx context.Context, o Options) (*Process, error) {
	if b := spawn.Inherited(); b != nil {
		if b.Successor {
			return nil, becomeSuccessor(b, &o)
		}
		return nil, becomeDaemon(b)
	}
	if err := o.check(); err != nil {
		return nil, &LaunchError{Phase: "prepare", Err: err, status: spawn.StatusFailed}
	}
	limit := cmp.Or(o.Timeout, defaultTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &notReadyError{after: limit})
	defer cancel()
	if o.Foreground || !o.Background && (managed() || os.Getpid() == 1) {
		return nil, stayForeground(ctx, &o)
	}
	if err := sys.NeedsUnix("detach"); err != nil {
		return nil, &LaunchError{Phase: "prepare", Err: err, status: spawn.StatusFailed}
	}
	l := newLauncher(o)
	defer l.close()
	return l.run(ctx)
}

// launcher is one call of Detach that makes a daemon.
type launcher struct {
	o       Options
	self    string // executes this program
	plan    plan
	pidfile *pidfile.File
	pidDisk disk // where that is
	stdout  output
	stderr  *output  // stdout's, or its own
	err     *os.File // what the daemon prints on standard error until it is ready
	crash   *os.File // what the Go runtime says of a panic or a fatal error until then

	captured   bool  // the caller has what was printed
	unrecorded error // why the pid is not in the pid file, which the daemon may have removed
}

func newLauncher(o Options) *launcher {
	l := &launcher{o: o}
	l.stderr = &l.stdout
	return l
}

// run prepares everything that can fail here, starts the daemon and waits.
func (l *launcher) run(ctx context.Context) (*Process, error) {
	const phase = "prepare"
	if err := l.makePlan(ctx); err != nil {
		return nil, l.late(&LaunchError{Phase: phase, Err: err, status: spawn.StatusFailed})
	}
	if err := l.open(ctx); err != nil {
		return nil, l.late(l.failure(phase, err))
	}
	l.progress(Progress{Phase: "start daemon"})
	spec, err := l.spec()
	if err != nil {
		return nil, l.late(l.failure(phase, err))
	}
	d, err := spawn.Detach(ctx, spec)
	if err != nil {
		return nil, l.late(l.failure("start daemon", err))
	}
	if l.pidfile != nil {
		if err := l.record(ctx, d.PID); err != nil {
			kill := d.Kill(l.grace())
			return nil, join(l.late(l.failure(phase, err)), kill)
		}
	}
	return l.await(ctx, d)
}

func (l *launcher) progress(p Progress) {
	if l.o.Progress != nil {
		l.o.Progress(p)
	}
}

// record writes the pid file. Two errors are none: without a fingerprint the
// lock, which the daemon holds, still proves who it is; and a daemon that is dead
// by now is heard of in a moment, with its reason. A third may be none: one that
// fails removes the file, perhaps before it is written; if it is ready instead, somebody else has.
func (l *launcher) record(ctx context.Context, pid int) error {
	_, err := within(ctx, &l.pidDisk, "write pid file "+l.plan.pidFile, func() (int, error) {
		return pid, l.pidfile.Write(pid)
	}, nil)
	switch {
	case errors.Is(err, pidfile.ErrNoFingerprint) || errors.Is(err, sys.ESRCH):
		return nil
	case errors.Is(err, pidfile.ErrReplaced):
		l.unrecorded = err
		return nil
	}
	return err
}

// makePlan refuses what cannot become a daemon, while nothing has a trace yet.
func (l *launcher) makePlan(ctx context.Context) (err error) {
	if l.self, err = sys.Within(ctx, "find the program's own file", spawn.Self, nil); err != nil {
		return err
	}
	l.plan, err = l.o.plan(ctx)
	l.plan.dir = cmp.Or(l.plan.dir, "/")
	if l.plan.outputs = bothOutputs; l.o.apart() {
		l.plan.outputs = twoOutputs
	}
	return err
}

// open acquires the pid file, and opens what the daemon prints to.
func (l *launcher) open(ctx context.Context) (err error) {
	if path := l.plan.pidFile; path != "" {
		l.pidfile, err = within(ctx, &l.pidDisk, "open pid file "+path,
			func() (*pidfile.File, error) {
				return pidfile.Acquire(path, pidfile.Options{Mode: l.o.PIDFileMode})
			}, dropPIDFile)
		if err != nil {
			return err
		}
	}
	return l.openOutputs(ctx)
}

// dropPIDFile is for one that nobody waits for any more. What is left of it is a stale one, which
// is recognised.
func dropPIDFile(f *pidfile.File) { _ = errors.Join(f.Remove(), f.Close()) }

// spec describes the daemon's process. It begins in our directory and leaves it itself, in Detach.
// Changing the root is left to it too, and with that the change of user: the program's file need
// not be inside.
func (l *launcher) spec() (_ *spawn.Spec, err error) {
	s := &spawn.Spec{
		Path:  l.self,
		Args:  l.o.argv(),
		Env:   l.o.Env,
		Umask: new(defaultUmask),
		Files: []spawn.File{{FD: 1, Source: l.stdout.now}, {FD: 2, Source: l.err}},
		Birth: &spawn.Birth{Files: []*os.File{l.stdout.file}, Crash: l.crash},
	}
	if l.stderr != &l.stdout {
		s.Birth.Files = append(s.Birth.Files, l.stderr.file)
	}
	if s.Env == nil {
		s.Env = spawn.WithoutMarks(os.Environ())
		if u := l.o.User; u != nil {
			if s.Env, err = u.environment(s.Env, account.System()); err != nil {
				return nil, err
			}
		}
	}
	if l.o.Umask != nil {
		s.Umask = l.o.Umask
	}
	if u := l.o.User; u != nil && l.plan.chroot == "" {
		s.Credential = u.credential()
	}
	if l.pidfile != nil {
		s.Birth.Files = append(s.Birth.Files, l.pidfile.File())
		s.Record = &spawn.Record{File: l.pidfile.File(), Path: l.pidfile.Path()}
	}
	s.Birth.Files = append(s.Birth.Files, l.o.Files...)
	s.Birth.Payload = l.plan.encode()
	return s, nil
}

func (l *launcher) grace() time.Duration { return cmp.Or(l.o.KillGrace, defaultKillGrace) }

// await waits for the first of: ready, failed, dead, out of time, not wanted any more.
func (l *launcher) await(ctx context.Context, d *spawn.Launch) (*Process, error) {
	const phase = "wait for ready"
	l.progress(Progress{Phase: phase, PID: d.PID})
	said := &report{}
	for {
		select {
		case e, ok := <-d.Events:
			switch {
			case !ok:
				return nil, l.failure(phase, errors.New("the launch ended without a word"))
			case e.Message != nil:
				r := decodeReport(e.Message)
				if r.note {
					l.progress(Progress{phase, d.PID, r.text})
					continue
				}
				switch said = r; {
				case said.ready && l.unrecorded != nil:
					return nil, join(l.failure(phase, l.unrecorded), d.Kill(l.grace()))
				case said.ready:
					return l.success(d)
				}
			case e.Exit != nil:
				err := l.ended(*e.Exit, said)
				return nil, join(err, d.Kill(0)) // what it left is ended by now: this only waits
			case e.Lost != nil:
				return nil, join(l.failure(phase, e.Lost), d.Kill(0))
			}
		case <-ctx.Done():
			kill := d.Kill(l.grace())
			cause := context.Cause(ctx)
			if late, ok := errors.AsType[*notReadyError](cause); ok {
				cause = &notReadyError{d.PID, late.after}
			}
			return nil, join(l.late(l.failure(phase, cause)), kill)
		}
	}
}

// late gives the error of a launch that was out of time its status.
func (l *launcher) late(err *LaunchError) *LaunchError {
	if _, late := errors.AsType[*notReadyError](err); late {
		err.status = spawn.StatusNotReady
	}
	return err
}

// join keeps the type of a plain error, which callers look for with errors.As, and its one line.
func join(err *LaunchError, more error) error {
	if more == nil {
		return err
	}
	return errors.Join(err, more)
}

func (l *launcher) success(d *spawn.Launch) (*Process, error) {
	if err := d.Release(); err != nil {
		return nil, l.failure("let the daemon go", err)
	}
	p := &Process{PID: d.PID}
	if l.o.Capture {
		p.Stdout, p.Stderr = captured(l.stdout.now), captured(l.err)
		l.captured = true
	}
	return p, nil
}

// captured reads a memory file from its beginning to where it ends now. The
// section keeps the file open, so it must not be among those that close closes.
func captured(f *os.File) io.Reader {
	info, err := f.Stat()
	if err != nil {
		return errorReader{err}
	}
	return io.NewSectionReader(f, 0, info.Size())
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// ended is the error of a daemon that died before it was ready.
func (l *launcher) ended(exit spawn.Exit, said *report) *LaunchError {
	err := l.failure("wait for ready", fmt.Errorf("daemon %v before it was ready", exit))
	err.Text, err.status = said.text, exit.Status()
	if err.status == 0 {
		err.status = spawn.StatusFailed // it is not up, so this is no success
	}
	return err
}

// failure makes the error and clears away the pid file, which names nobody now.
func (l *launcher) failure(phase string, err error) *LaunchError {
	e := &LaunchError{
		Phase:  phase,
		Err:    err,
		status: spawn.StatusFailed,
		Output: finally(&l.stderr.disk, l.lastWords),
	}
	if l.pidfile != nil {
		// If it cannot be removed it stays as a stale one, which is recognised.
		_ = finally(&l.pidDisk, l.pidfile.Remove)
	}
	return e
}

// close closes the launcher's copies. The pid file's lock is the daemon's from here on: it shares
// the open file.
func (l *launcher) close() {
	if l.pidfile != nil {
		finally(&l.pidDisk, l.pidfile.Close)
	}
	l.stdout.close(l.captured)
	l.crash.Close()
	switch {
	case l.stderr != &l.stdout:
		l.stderr.close(l.captured)
	case l.err != l.stdout.now && !l.captured:
		l.err.Close()
	}
}
