package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// Program is what a program does, whoever starts it: an init system, a person at a terminal, a
// script. Each function may be nil. They get a context that ends when the program is to end.
type Program struct {
	// Start does what may fail before the program serves: it reads the configuration, listens.
	// When it returns nil, the program is ready, and whoever waits is told (daemonry.Ready).
	// Without it Run calls daemonry.Ready when it is.
	Start func(ctx context.Context) error
	// Run serves until ctx ends. What it returns then is no failure if it is nil or wraps ctx's
	// error or its cause; if it returns before, the program ends, and its error says how. Without
	// it the program waits for the end of ctx.
	Run func(ctx context.Context) error
	// Stop is called after Run, however that ended, if Start has succeeded. Its context has not
	// ended: how long it may take is up to who stops the program.
	Stop func(ctx context.Context) error
	// Reload is called for SIGHUP, one call after the other, beside Run and not before Start has
	// returned. A manager is told of it (RELOADING=1, then READY=1), and its error is printed.
	Reload func(ctx context.Context) error
	// Alive is asked before each sign of life that a manager's watchdog gets (WATCHDOG_USEC); after
	// an error, which is printed, there are no more. Without it they tell that the process runs.
	Alive func() error
	// Detach, if not nil, has the program become a daemon first: what a flag -d asks for. See
	// [daemonry.Detach].
	Detach *daemonry.Options
}

// Main carries out the verb that is the first argument of the program ([IsVerb]), as Run does; if
// it is none, Main is that of p. It returns the exit status. With TakeArgs what follows "install"
// are the arguments of the service; otherwise a verb stands alone.
//
// What p shows need not be said in Spec: with Start the service says when it is ready (Spec.Ready),
// with Reload it is reloaded by SIGHUP (Spec.Reload).
func (s Service) Main(ctx context.Context, p Program) int {
	if len(os.Args) < 2 || !IsVerb(os.Args[1]) {
		return p.Main(ctx)
	}
	verb := os.Args[1]
	if len(os.Args) > 2 && !(s.TakeArgs && verb == "install") {
		fmt.Fprintf(os.Stderr, "%s: %s takes no arguments\n", name(), verb)
		return exitUsage
	}
	// An installation that is interrupted is undone.
	ctx, stop := signal.NotifyContext(ctx, sys.SIGINT, sys.SIGTERM)
	defer stop()
	return s.of(p).Run(ctx, verb, os.Stdout, os.Stderr)
}

// of is the service that a program makes.
func (s Service) of(p Program) Service {
	if p.Start != nil && s.Spec.Ready.Kind == "" {
		s.Spec.Ready = spec.Probe{Kind: spec.ProbeNotify}
	}
	if p.Reload != nil && s.Spec.Reload == "" && len(s.Spec.ReloadCommand) == 0 {
		s.Spec.Reload = "HUP"
	}
	return s
}

// Main runs the program and returns its exit status, 0: after a failure it does not return, but
// ends the program by [daemonry.Fail], so that a launcher that waits learns the reason, and the
// status is that of the error. In the launcher of a daemon it returns when the daemon is ready.
//
// What a signal does:
//
//   - SIGTERM ends the context; so does SIGINT. A second SIGINT at a terminal ends the program at
//     once (see [Interactive]).
//   - SIGHUP has a daemon open its log file anew and calls Reload. Without either, and when the
//     program has lost its terminal, it ends the context as well.
//   - What was ignored when the program started, as under nohup(1), stays so.
//
// A manager that set NOTIFY_SOCKET is told when the program is ready, reloads, and begins to end,
// and its watchdog gets a sign of life every half interval: Type=notify or notify-reload of
// systemd, which sets WATCHDOG_USEC for WatchdogSec=. Nothing of this needs a manager.
func (p Program) Main(ctx context.Context) int {
	manager, err := managerOf(p.Detach)
	if err != nil {
		daemonry.Fail(err)
	}
	if p.Detach != nil {
		proc, err := daemonry.Detach(ctx, *p.Detach)
		if err != nil {
			daemonry.Fail(err)
		}
		if proc != nil {
			return exitOK
		}
	}
	r := run{Program: p, manager: manager}
	if err := r.run(ctx); err != nil {
		daemonry.Fail(err)
	}
	say("end", daemonry.Release())
	return exitOK
}

// managerOf is who waits for the program. From inside a new root it would not be reached any more.
func managerOf(o *daemonry.Options) (c notify.Client, err error) {
	if o == nil || o.Chroot == "" {
		return c, nil
	}
	if heard, err := c.Heard(); err != nil || !heard {
		return c, err
	}
	return c.Connect()
}

// run is a program that runs.
type run struct {
	Program
	manager notify.Client
}

func (r *run) run(parent context.Context) error {
	s := catch(parent, r.Reload != nil)
	defer s.release()
	ctx := s.ctx
	// A manager that has the program end need not be told, others see why nobody serves any more.
	defer context.AfterFunc(ctx, func() { r.told(r.manager.Stopping()) })()
	if r.Start != nil {
		if err := r.Start(ctx); err != nil {
			return r.unready(ctx, err)
		}
		if err := daemonry.Ready(); err != nil {
			return errors.Join(err, r.stop(ctx))
		}
	}
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	wait.Go(func() { say("watchdog", r.manager.KeepAlive(beside, r.Alive)) })
	wait.Go(func() { r.reloads(ctx, s.hangups) })
	err := r.serve(ctx)
	s.cancel(nil) // for what runs beside
	err = errors.Join(err, r.stop(ctx))
	end()
	wait.Wait()
	return err
}

// serve is Run, without what it says when it was asked to end.
func (r *run) serve(ctx context.Context) error {
	if r.Run == nil {
		<-ctx.Done()
		return nil
	}
	err := r.Run(ctx)
	if asked(ctx, err) {
		return nil
	}
	return err
}

// asked says whether an error says nothing but that ctx has ended.
func asked(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// unready is the reason why a program has not come to be ready. Who only had it end is not told of
// a failure, but a launcher waits for a daemon.
func (r *run) unready(ctx context.Context, err error) error {
	switch {
	case !asked(ctx, err):
		return err
	case daemonry.IsDaemon():
		return fmt.Errorf("not ready yet: %w", context.Cause(ctx))
	}
	return nil
}

func (r *run) stop(ctx context.Context) error {
	if r.Stop == nil {
		return nil
	}
	return r.Stop(context.WithoutCancel(ctx))
}

// reloads reloads whenever it is asked for.
func (r *run) reloads(ctx context.Context, hangups <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.reload(ctx)
		}
	}
}

func (r *run) reload(ctx context.Context) {
	r.told(r.manager.Reloading())
	err := daemonry.ReopenLog()
	if r.Reload != nil {
		err = errors.Join(err, r.Reload(ctx))
	}
	if !asked(ctx, err) {
		say("reload", err)
	}
	if ctx.Err() == nil { // else it has said that it stops, and is not ready any more
		r.told(r.manager.Ready())
	}
}

// told prints why a manager could not be told something: that is no reason to end.
func (r *run) told(_ bool, err error) { say("tell the manager", err) }

func say(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v\n", name(), step, err)
	}
}

// name is what the program calls itself in a message.
func name() string {
	if len(os.Args) == 0 {
		return "program"
	}
	return filepath.Base(os.Args[0])
}
