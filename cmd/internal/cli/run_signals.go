package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// endOfRun is how a run comes to its end by a signal.
type endOfRun struct {
	stop     func()    // ends the supervisor, which ends the services
	asked    time.Time // when the first signal came that wants it, zero before
	terminal bool      // there was one when we began
}

// signals are those that a run takes. SIGHUP that was ignored when we were started stays so:
// whoever used nohup(1) wants us to outlive the terminal.
func (f *foreground) signals() []os.Signal {
	list := []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGPIPE,
	}
	if signal.Ignored(syscall.SIGHUP) {
		list = slices.DeleteFunc(list, func(sig os.Signal) bool { return sig == syscall.SIGHUP })
	}
	f.end.terminal = sys.HasTerminal()
	return list
}

// endsAt says whether a signal wants an end: SIGTERM, SIGINT, or the one that comes when the
// terminal is gone.
func (f *foreground) endsAt(sig os.Signal) bool {
	return sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGHUP &&
		f.end.terminal && !sys.HasTerminal()
}

// take does what a signal asks for.
func (f *foreground) take(ctx context.Context, sig os.Signal) {
	switch {
	case sig == syscall.SIGPIPE:
	case f.endsAt(sig):
		f.takeEnd(ctx, sig.(syscall.Signal))
	case sig == syscall.SIGHUP && !f.program:
		go f.again(ctx)
	case f.main != "":
		f.send(ctx, control.Named(f.main), sig.(syscall.Signal))
	}
}

// patience is how long after the first signal another one is the same wish: timeout(1) signals the
// process and its group, a shell passes on what the terminal has sent to all, and both are at once,
// however loaded the machine is.
const patience = time.Second

// takeEnd begins the end, or loses patience with it.
func (f *foreground) takeEnd(ctx context.Context, sig syscall.Signal) {
	switch {
	case f.end.asked.IsZero():
		f.end.asked = time.Now()
		if f.program && len(f.call.Service.Stop) == 0 && sig != syscall.SIGTERM {
			go f.endBy(ctx, sig)
			return
		}
		if !f.program {
			f.say("%s: ending the services; another one kills them", spec.SignalOf(sig))
		}
		f.end.stop()
	case time.Since(f.end.asked) >= patience:
		f.send(ctx, control.Names{All: true}, syscall.SIGKILL)
	}
}

// endByTime is how long the supervisor may take to answer, before it is ended all the same.
const endByTime = 2 * time.Second

// endBy ends the program as a shell's user expects, by the very signal that came, in place of the
// one that stop begins with.
func (f *foreground) endBy(ctx context.Context, sig syscall.Signal) {
	defer f.end.stop()
	ctx, cancel := context.WithTimeout(ctx, endByTime)
	defer cancel()
	list := slices.Clone(f.services)
	for i := range list {
		list[i].Stop = spec.StopSchedule{{Signal: spec.SignalOf(sig)}}
	}
	_, err := f.s.Apply(ctx, control.ApplyRequest{Services: list, Source: f.source, NoStart: true})
	if err != nil && !errors.Is(err, control.Closing) {
		f.say("%s gets its stop signal in place of %s: %s", f.main, spec.SignalOf(sig), err)
	}
}
