package boot

import (
	"context"
	"os"
	"os/signal"
	"strconv"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/sys"
)

// Interactive says whether a person started the program at a terminal: it has a controlling
// terminal (tty(4)), is no daemon that [daemonry.Detach] has made, and not what systemd started
// (SYSTEMD_EXEC_PID), which can give a terminal to a service. Services of an init system have none,
// nor have the jobs of cron(8).
func Interactive() bool {
	return !daemonry.IsDaemon() && os.Getenv("SYSTEMD_EXEC_PID") != strconv.Itoa(os.Getpid()) &&
		sys.HasTerminal()
}

// signals are those that a program is told by what to do.
type signals struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	hangups chan struct{} // to reload; two that come at once are one

	caught      chan os.Signal
	over        chan struct{}
	reloads     bool
	interactive bool
}

// ending is the cause of a context that a signal has ended.
type ending struct{ os.Signal }

func (e ending) Error() string { return "ended by signal: " + e.String() }

// catch begins to heed signals; reloads says that SIGHUP is a request.
func catch(parent context.Context, reloads bool) *signals {
	s := &signals{
		hangups: make(chan struct{}, 1),
		caught:  make(chan os.Signal, 8),
		over:    make(chan struct{}),
		reloads: reloads || daemonry.IsDaemon(), // which has a log file, perhaps
	}
	s.interactive = Interactive()
	s.ctx, s.cancel = context.WithCancelCause(parent)
	for _, sig := range []os.Signal{sys.SIGTERM, sys.SIGINT, sys.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(s.caught, sig)
		}
	}
	go s.heed()
	return s
}

// release gives the signals back.
func (s *signals) release() {
	signal.Stop(s.caught)
	s.cancel(nil)
	close(s.over)
}

func (s *signals) heed() {
	for {
		select {
		case <-s.over:
			return
		case sig := <-s.caught:
			s.one(sig)
		}
	}
}

func (s *signals) one(sig os.Signal) {
	switch {
	case sig == os.Signal(sys.SIGHUP) && s.reloads && (!s.interactive || sys.HasTerminal()):
		select {
		case s.hangups <- struct{}{}:
		default:
		}
	case sig == os.Signal(sys.SIGINT) && s.interactive && s.ctx.Err() != nil:
		// As a shell wants it of who was interrupted: by that signal (signal(7)).
		signal.Reset(sys.SIGINT)
		say("interrupt", sys.Kill(os.Getpid(), sys.SIGINT))
	default:
		s.cancel(ending{sig})
	}
}
