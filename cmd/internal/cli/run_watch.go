package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// supervise brings the services up and looks after them until the supervisor has ended.
func (f *foreground) supervise(signals <-chan os.Signal, served <-chan error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	health, err := f.serveHealth()
	if err != nil {
		f.end.stop()
		return f.outcome(errors.Join(err, <-served))
	}
	defer health()
	f.tellTaken(ctx)
	changed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	watching.Go(func() { f.watch(ctx, changed) })
	applied := make(chan error, 1)
	go func() { applied <- f.apply(ctx) }()
	var launch error
	up, ended := false, false
	for {
		select {
		case err := <-served:
			watching.Wait() // the last events come with the end
			return cmp.Or(launch, f.outcome(err))
		case launch = <-applied:
			if up = true; launch != nil {
				f.end.stop()
				break
			}
			f.tellReady()
		case sig := <-signals:
			f.take(ctx, sig)
		case <-changed:
		}
		if up && !ended && f.over(ctx) {
			ended = true
			f.end.stop()
		}
	}
}

// tellTaken says that an earlier run was killed, and that what it has left is looked after by this
// one, whichever file it is of.
func (f *foreground) tellTaken(ctx context.Context) {
	if about, err := f.s.Supervisor(ctx); err == nil && about.Adopted > 0 {
		f.say("took over %s, which a run that was killed has left",
			counted(about.Adopted, "running service"))
	}
}

// apply makes the services those of the file, or the program. An error ends the run: that there
// is nothing it could go on with.
func (f *foreground) apply(ctx context.Context) error {
	_, err := f.s.Apply(ctx, control.ApplyRequest{Services: listed(f.services), Source: f.source,
		Environ: environ(true)})
	failures := failuresIn(err)
	if errors.Is(err, control.Closing) {
		return nil // we were told to end before all was up
	}
	if len(failures) == 0 {
		return failure(err, exitOurs, nil)
	}
	// Of what goes on, or has printed why it does not, the events tell.
	for _, one := range failures {
		// that one was stopped by somebody
		if f.program && one.Exit == nil && !one.Retry && one.Status != exitFailed {
			return launchError(one)
		}
	}
	return nil
}

func (f *foreground) send(ctx context.Context, to control.Names, sig syscall.Signal) {
	err := f.s.Signal(ctx, control.SignalRequest{Names: to, Signal: spec.SignalOf(sig)})
	if err != nil && !to.All { // of all, some have ended
		f.say("%s", err)
	}
}

// again reads the file anew. One with mistakes changes nothing.
func (f *foreground) again(ctx context.Context) {
	file, err := f.a.readSupervised(f.source)
	if err != nil {
		f.a.explain(program, err)
		return
	}
	plan, err := f.s.Apply(ctx, control.ApplyRequest{Services: listed(toConsole(file.Services)),
		Source: f.source, Environ: environ(true)})
	for _, p := range plan {
		if p.Action != control.ActionNone {
			f.say("%s: %s", p.Name, pastOf[p.Action])
		}
	}
	if err != nil && len(failuresIn(err)) == 0 {
		f.say("%s: %s", f.source, err)
	}
}

func (f *foreground) say(format string, args ...any) { f.a.say(format, args...) }

// watch follows the events until there are no more. It says on standard error what does not go
// well, and tells through changed that the services may be over.
func (f *foreground) watch(ctx context.Context, changed chan<- struct{}) {
	for ev, err := range f.s.Events(ctx, control.EventsRequest{Follow: true}) {
		if err != nil {
			f.say("%s", err)
			return
		}
		f.note(ev)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

func (f *foreground) note(ev control.Event) {
	switch {
	case ev.Kind == control.EventExit && ev.Exit != nil:
		if ev.Service == f.main {
			f.exit = ev.Exit
		}
		if !f.program && ev.State != control.Stopping &&
			(ev.Exit.Code != 0 || ev.Exit.Signal != "") {
			f.say("%s: %s %s", ev.Service, whose(ev), ev.Exit.Text)
		}
	case ev.Kind == control.EventState:
		f.noteState(ev)
	case ev.Kind == control.EventTrouble || ev.Kind == control.EventLog:
		f.say("%s: %s", cmp.Or(ev.Service, "supervisor"), ev.Reason)
	}
}

// noteState remembers what has failed for good. That the end of all stops it too does not make it
// well.
func (f *foreground) noteState(ev control.Event) {
	switch ev.State {
	case control.Failed:
		f.failed[ev.Service] = true
		if !f.program {
			f.say("%s: failed: %s", ev.Service, ev.Reason)
		}
	case control.Starting:
		delete(f.failed, ev.Service)
	}
}

// over says whether nothing is left to run: the main service has ended for good, or, without one,
// all have. While somebody holds a service down by hand, they may start it again.
func (f *foreground) over(ctx context.Context) bool {
	list, err := f.s.Status(ctx, control.StatusRequest{})
	if err != nil {
		return false // the end of the supervisor is on its way, and is seen
	}
	for _, s := range list {
		if f.main != "" && s.Name != f.main {
			continue
		}
		switch s.State {
		case control.Starting, control.Ready, control.Stopping, control.Backoff, control.Listening:
			return false
		case control.Failed:
			if !s.Next.IsZero() {
				return false
			}
		case control.Stopped:
			if s.Held {
				return false
			}
		case control.Waiting:
			if f.main != "" {
				return false
			}
		}
	}
	return true
}

// healthAddress completes an address with the loopback one.
func healthAddress(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", &spec.HintError{Message: fmt.Sprintf("%q is not an address", text),
			Hint: "write PORT or HOST:PORT"}
	}
	return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port), nil
}

// serveHealth answers probes, if that was asked for; the function returned ends it.
func (f *foreground) serveHealth() (func(), error) {
	if f.call.health == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", f.call.health)
	if err != nil {
		return nil, fmt.Errorf("--health: %w", err)
	}
	s := &http.Server{Handler: http.HandlerFunc(f.answerHealth), ReadTimeout: healthTime,
		WriteTimeout: healthTime}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			f.say("--health: %s", err)
		}
	}()
	return func() { _ = s.Close() }, nil // a prober that is cut off asks again
}

// healthTime bounds every wait for a prober.
const healthTime = 5 * time.Second

func (f *foreground) answerHealth(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/health" {
		http.NotFound(w, r)
		return
	}
	h, err := f.s.Health(r.Context())
	switch {
	case err != nil:
		http.Error(w, oneLine(err.Error()), http.StatusServiceUnavailable)
	case !h.Healthy:
		http.Error(w, "not ready: "+strings.Join(h.NotReady, ", "), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ready")
	}
}
