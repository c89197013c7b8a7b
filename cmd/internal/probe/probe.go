// Package probe finds out whether a service is ready or alive, by asking it.
//
// A Check says what to ask. [Wait] asks again and again until the answer is
// yes, [Once] asks a single time: the first is for readiness, the second for
// liveness. Neither keeps anything between calls, so thousands of services can
// be asked side by side.
//
// Two kinds of program say by themselves that they are ready: those that write
// a newline to a descriptor (s6) are heard by [HearFD], those that speak sd_notify
// by [Hear]. Both wait for an event; nothing is polled.
//
// # Why the other kinds poll
//
// No event tells that a foreign process began to listen on a port. For files
// and logs there is inotify, but an instance of it is a scarce good (128 a user
// by default, fs.inotify.max_user_instances), it sees nothing on network and
// FUSE file systems, and it would need polling as the fallback all the same.
// So there is one way: ask at growing intervals, from 2 ms up to 20 ms where
// the question is a stat(2), up to 250 ms where it is a connection or a
// process; and only while somebody waits.
//
// # Who answered
//
// An earlier instance that still holds the port answers a probe just as well as
// the new one (juicefs issue 1840 reported success for a mount that failed).
// With [Env.Owner] set, an answer counts only if it provably comes from the
// service; see owner_linux.go for what is proof. Files and
// logs are compared with what [Look] saw before the start.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// A Check is what to ask.
type Check struct {
	spec.Probe
	// Busy is of settled: when a program that is never at rest counts as up, but for what it waited
	// for a processor; 0 means DefaultBusy.
	Busy  time.Duration
	Bound time.Duration // of settled: when it does in any case; 0 means DefaultBound
}

// String names the check in messages.
func (c Check) String() string {
	switch c.Kind {
	case spec.ProbeCmd:
		return "cmd:" + strings.Join(c.Argv(), " ")
	case spec.ProbeHTTP:
		return redact(c.Target)
	}
	return c.Probe.String()
}

// Env is what a check must know about the service. The zero value asks without
// knowing anything: every answer counts.
type Env struct {
	// Dir is the directory that relative paths are relative to, and the
	// working directory of a command. Empty means our own.
	Dir string
	// Environ is a command's environment; nil means ours.
	Environ []string
	// Attr is used for a command, for instance to run it as the service's
	// user. It is copied; the command is put into a process group of its own.
	// A name without a slash is looked up in our own PATH.
	Attr *syscall.SysProcAttr
	// Logs names the regular files the service's output goes to.
	Logs []string
	// Seen is what was there before the start; see [Look].
	Seen Seen
	// Attempt bounds one attempt; 0 means 5 s.
	Attempt time.Duration
	// PID is the service's main process, 0 if it is not known.
	PID int
	// Owner tells whether a process provably belongs to the service, for instance by
	// its session or its cgroup. Nil means that every answer counts, whoever
	// gives it. Only Linux tells who holds a socket; elsewhere every answer counts
	// unless there was one before the start ([Look]).
	Owner func(pid int) bool
	// Members names processes of the service that are not descendants of PID, for Settled. May be
	// nil.
	Members func() []int
	// Note is told what there is to be known about a yes, if anything. May be nil.
	Note func(text string)
}

const (
	firstPause   = 2 * time.Millisecond
	longestPause = 250 * time.Millisecond // for a connection or a process
	longestLook  = 20 * time.Millisecond  // for a stat(2)
	attemptLimit = 5 * time.Second
)

// NotReadyError says that the service was not ready when the time was over.
type NotReadyError struct {
	Check Check
	Last  error // what the last complete attempt saw
	Cause error // why the waiting ended: the cause of the context
}

func (e *NotReadyError) Error() string { return fmt.Sprintf("%s: not ready: %v", e.Check, e.Last) }

// Unwrap returns both the last reason and the cause of the end.
func (e *NotReadyError) Unwrap() []error { return []error{e.Last, e.Cause} }

// errUnanswered stands for what an attempt saw that was cut short.
var errUnanswered = errors.New("no answer yet")

// A final error cannot become right by asking again.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// Wait asks until the service is ready and returns nil, or until ctx is done
// and returns a [NotReadyError] with what was seen last. What asking again
// cannot mend, such as a command that does not exist, ends it at once with that
// error.
//
// Exec is ready at once, Settle when its time is over, Settled when env.PID is at rest: it is the
// caller who watches for the death of the process and cancels ctx. Notify and FD are
// announced by the program and cannot be asked for.
func Wait(ctx context.Context, c Check, env Env) error {
	switch c.Kind {
	case spec.ProbeExec:
		return nil
	case spec.ProbeSettle:
		return settle(ctx, c)
	case spec.ProbeSettled:
		return settled(ctx, c, env)
	}
	q, err := newQuestion(c, env)
	if err != nil {
		return err
	}
	err = errors.Join(poll(ctx, q, env.limit()), q.Close())
	if end, ok := errors.AsType[*NotReadyError](err); ok {
		end.Check = c
		return end
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

// Once asks a single time. The error says what was seen instead of an answer:
// "connection refused", "http 503", "exit status 1".
func Once(ctx context.Context, c Check, env Env) error {
	q, err := newQuestion(c, env)
	if err != nil {
		return err
	}
	err = attempt(ctx, q, env.limit())
	return errors.Join(err, q.Close())
}

func settle(ctx context.Context, c Check) error {
	select {
	case <-time.After(time.Duration(c.Settle)):
		return nil
	case <-ctx.Done():
		return &NotReadyError{Check: c, Last: errors.New("its time to settle is not over"),
			Cause: context.Cause(ctx)}
	}
}

// A question can be asked repeatedly. It may keep a file open until it is closed.
type question interface {
	ask(context.Context) error // nil: the answer is yes
	longest() time.Duration    // the longest pause between two attempts
	io.Closer
}

// stateless is a question that keeps nothing.
type stateless struct {
	f     func(context.Context) error
	pause time.Duration
}

func (s stateless) ask(ctx context.Context) error { return s.f(ctx) }
func (s stateless) longest() time.Duration        { return s.pause }
func (s stateless) Close() error                  { return nil }

func newQuestion(c Check, env Env) (question, error) {
	slow := func(f func(context.Context) error) (question, error) {
		return stateless{f, longestPause}, nil
	}
	switch c.Kind {
	case spec.ProbeTCP:
		return slow(func(ctx context.Context) error { return askTCP(ctx, c.Target, env) })
	case spec.ProbeUnix:
		return slow(func(ctx context.Context) error {
			return askUnix(ctx, env.path(c.Target), env)
		})
	case spec.ProbeHTTP:
		return slow(func(ctx context.Context) error { return askHTTP(ctx, c.Target, env) })
	case spec.ProbeCmd:
		argv := c.Argv()
		if len(argv) == 0 {
			return nil, errors.New("cmd: no command")
		}
		return slow(func(ctx context.Context) error { return askCommand(ctx, argv, env) })
	case spec.ProbeFile:
		return stateless{
			func(context.Context) error { return askFile(env.path(c.Target), env.Seen.file) },
			longestLook,
		}, nil
	case spec.ProbeLog:
		pattern, err := regexp.Compile(c.Target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c, err)
		}
		return newTails(pattern, env), nil
	}
	return nil, fmt.Errorf("%s: cannot be asked: the program has to say it", c)
}

// poll asks at growing intervals. The first attempt is made at once, whatever ctx says.
func poll(ctx context.Context, q question, limit time.Duration) error {
	var last error
	for pause := firstPause; ; pause = min(pause*3/2, q.longest()) {
		err := attempt(ctx, q, limit)
		if err == nil {
			return nil
		}
		if errors.As(err, new(final)) {
			return err
		}
		// An attempt that the end has cut short saw nothing: the one before
		// it knows the reason.
		if last == nil || !errors.Is(err, errUnanswered) {
			last = err
		}
		select {
		case <-ctx.Done():
			return &NotReadyError{Last: last, Cause: context.Cause(ctx)}
		case <-time.After(pause):
		}
	}
}

// attempt asks once, for no longer than limit.
func attempt(ctx context.Context, q question, limit time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := q.ask(bounded)
	switch {
	case err == nil:
		return nil
	case over(ctx) && (isTimeout(err) || errors.Is(err, context.Cause(ctx))):
		return errUnanswered
	case isTimeout(err):
		return fmt.Errorf("no answer within %v", limit)
	}
	return reason(err)
}

// over tells whether ctx is done, or is about to be: a connection watches the
// deadline by itself and may be ahead of the context's own timer.
func over(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(end)
}

// isTimeout does not use the Timeout method: EAGAIN has it too, which a Unix
// socket with a full queue answers at once.
func isTimeout(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

// reason leaves out what the check's own text says already: the operation, the
// address, the URL.
func reason(err error) error {
	if errors.As(err, new(final)) {
		return err
	}
	for {
		op, ok := errors.AsType[*net.OpError](err)
		if !ok || op.Err == nil {
			break
		}
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err
	}
	return err
}

func (e Env) limit() time.Duration {
	return cmp.Or(e.Attempt, attemptLimit)
}

// path resolves p. An abstract socket (@name) is no path.
func (e Env) path(p string) string {
	if filepath.IsAbs(p) || p != "" && p[0] == '@' || e.Dir == "" {
		return p
	}
	return filepath.Join(e.Dir, p)
}
