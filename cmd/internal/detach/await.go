package detach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
)

const (
	// exitWait is how long a probe's failure waits for the death that may follow from the same
	// cause: a program may close what is probed and exit a moment later.
	exitWait = 100 * time.Millisecond
	// deathWait bounds the wait for the end of a program that has begun to end: long only where the
	// machine is short of time, or the kernel holds it (state D).
	deathWait = 10 * time.Second
)

// await waits until the started daemon is ready, and lets it go; or ends it and says why.
func (l *attempt) await(ctx context.Context, p patience, d *spawn.Launch, r *Result) error {
	if err := l.record(d.PID, r); err != nil {
		return l.kill(d, ours(err))
	}
	if l.ready.Check.Kind == spec.ProbeExec {
		return l.letGo(d, r, probe.Heard{}) // what becomes of it from here on was not asked for
	}
	waiting, cancel := context.WithCancel(p)
	if l.ready.Check.Kind == spec.ProbeSettled {
		// A program that is never at rest counts as up when the time is over.
		cancel()
		waiting, cancel = context.WithCancel(ctx)
		l.ready.Check.Bound = l.bound(p)
	}
	defer cancel()
	ready := make(chan error, 1)
	var heard probe.Heard
	go func() {
		var err error
		heard, err = l.ready.wait(waiting, d, p.extend)
		ready <- err
	}()
	// The goroutine uses what close closes.
	collect := func() { cancel(); <-ready }
	tick := time.Tick(time.Second)
	for {
		select {
		case e := <-d.Events:
			collect()
			return l.ended(e, d, heard)
		case err := <-ready:
			return l.answered(ctx, d, r, heard, err)
		case <-tick:
			if l.o.Waiting != nil {
				l.o.Waiting(l.ready.Check.String())
			}
		}
	}
}

// name is the program as the user called it.
func (l *attempt) name() string { return l.s.Command[0] }

// record writes the pid file, which is complete before anybody is told of the daemon.
func (l *attempt) record(pid int, r *Result) error {
	if l.pidfile == nil {
		return nil
	}
	err := l.pidfile.Write(pid)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, pidfile.ErrReplaced) && dying(pid) {
		// Dead by now, which is heard of in a moment, with its reason; the watcher may have taken
		// the file away then.
		return nil
	}
	if errors.Is(err, pidfile.ErrNoFingerprint) {
		r.Note = fmt.Sprintf("pid file %s: nothing will prove whose pid is in it: %v",
			l.s.Pidfile, err)
		return nil
	}
	return err
}

// patience is the time that a launch has, from its first instruction until its daemon is ready.
type patience struct {
	context.Context
	extend func(time.Duration) // nil: it has no end
	began  time.Time
}

// bound is when a program that is never at rest counts as up.
func (l *attempt) bound(p patience) time.Duration {
	if *l.s.Timeout == spec.Forever {
		return probe.DefaultBound
	}
	return min(probe.DefaultBound,
		max(time.Millisecond, time.Duration(*l.s.Timeout)-time.Since(p.began)))
}

func (l *attempt) patience(ctx context.Context) (patience, func()) {
	if *l.s.Timeout == spec.Forever {
		return patience{Context: ctx, began: time.Now()}, func() {}
	}
	limited, extend, cancel := probe.WithTimeout(ctx, time.Duration(*l.s.Timeout))
	return patience{limited, extend, time.Now()}, cancel
}

// answered deals with the end of the waiting for readiness.
func (l *attempt) answered(
	ctx context.Context, d *spawn.Launch, r *Result, heard probe.Heard, err error,
) error {
	// A death that has been seen, or has begun, comes before an answer that may be somebody else's,
	// and before a failure that may be its consequence.
	grace := time.Duration(0)
	var late *probe.NotReadyError
	switch {
	case dying(d.PID):
		grace = deathWait
	case err != nil && !errors.As(err, &late):
		grace = exitWait
	}
	select {
	case e := <-d.Events:
		return l.ended(e, d, heard)
	case <-time.After(grace):
	}
	if err == nil {
		return l.letGo(d, r, heard)
	}
	e := ours(fmt.Errorf("%s: %w", l.name(), err))
	if errors.As(err, &late) {
		e = l.notReady(ctx, late)
	}
	return l.kill(d, e)
}

// dying says whether the daemon has ended, or has begun to: who answered in its place is an older
// process whose port it could not have. On Linux this is seen before any of its descriptors is
// closed by its end.
func dying(pid int) bool {
	st, err := sys.ReadStat(pid)
	return errors.Is(err, syscall.ESRCH) || err == nil && (st.Unmapped || st.Exited())
}

// notReady is the error of a daemon that took too long, or whose launcher was told to end.
func (l *attempt) notReady(ctx context.Context, late *probe.NotReadyError) *Error {
	var stop Interrupted
	switch {
	case errors.As(late.Cause, &stop):
		return &Error{Status: 128 + int(stop.Signal), Err: fmt.Errorf("%s: %w while waiting for %v",
			l.name(), stop, late.Check)}
	case ctx.Err() != nil:
		return ours(fmt.Errorf("given up while waiting for %v: %w", late.Check, late.Cause))
	}
	return &Error{
		Status: spawn.StatusNotReady,
		Err: fmt.Errorf("%s: not ready within %v: %v: %v",
			l.name(), l.s.Timeout, late.Check, late.Last),
	}
}

// letGo ends the launch with success. A daemon that announced another main
// process (MAINPID=) is from then on that process.
func (l *attempt) letGo(d *spawn.Launch, r *Result, heard probe.Heard) error {
	if pid := heard.MainPID; pid > 1 && pid != d.PID && mayBelong(pid, d) {
		if err := l.record(pid, r); err != nil {
			return l.kill(d, ours(err))
		}
		r.PID = pid
	}
	if r.Note == "" && l.ready.note != "" {
		r.Note = l.name() + ": " + l.ready.note
	}
	if err := d.Release(); err != nil {
		return ours(err)
	}
	return nil
}

// ended is the error of a daemon that died before it was ready.
func (l *attempt) ended(ev spawn.Event, d *spawn.Launch, heard probe.Heard) error {
	if ev.Exit == nil {
		return l.kill(d, ours(cmp.Or(ev.Lost, errors.New("the launch ended without a word"))))
	}
	// What it has left is being killed; this waits until that is done.
	killErr := d.Kill(0)
	e := &Error{
		Status: ev.Exit.Status(),
		Err:    fmt.Errorf("%s: %v before it was ready", l.name(), *ev.Exit),
		Words:  l.words.lines(),
	}
	if said := heard.String(); said != "" {
		e.Err = fmt.Errorf("%w; %s", e.Err, said)
	}
	if killErr != nil {
		e.Err = fmt.Errorf("%w; %w", e.Err, killErr)
	}
	switch {
	case e.Status == 0:
		e.Status = spawn.StatusFailed // it is not up, so this is no success
		e.Hint = "a program that puts itself into the background must be told not to (an option " +
			"such as --foreground or --no-daemon)"
	case l.s.Stderr.Kind == spec.StreamNull || l.s.Stderr.Kind == spec.StreamLog:
		e.Hint = "its output went to /dev/null; --stderr FILE keeps it"
	}
	return e
}

// kill ends a daemon that is not to be, and completes the error.
func (l *attempt) kill(d *spawn.Launch, e *Error) error {
	if err := d.Kill(killGrace); err != nil {
		e.Err = fmt.Errorf("%w; ending it: %w", e.Err, err)
	}
	e.Words = l.words.lines()
	return e
}
