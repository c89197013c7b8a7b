package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/detach"
)

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
	for _, sig := range []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
	} {
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
