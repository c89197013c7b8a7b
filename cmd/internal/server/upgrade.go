package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
)

// errUpgrading is why requests end that are under way when another program takes our place. What
// they asked for goes on.
var errUpgrading = errors.New("the supervisor's program is being replaced: ask again")

// Times of an upgrade.
const (
	// for requests that wait for a service, before they are told to ask again
	answerTime = time.Second
	// for answers to go out after that
	quietTime = 5 * time.Second
	// for starts under way to come to an end
	stillTime = 10 * time.Second
)

// changeover is how the supervisor's program is replaced. Who asks meanwhile waits in the queue of
// the control socket.
type changeover struct {
	o         Options
	engine    *supervise.Engine
	at        *location
	entrances []entrance
	servers   []*http.Server

	busy atomic.Bool

	mu      sync.Mutex
	failed  string       // why the last one failed although the program had proven itself
	streams *interrupted // requests that follow something
	others  *interrupted
	open    int           // connections
	none    chan struct{} // closed when open falls to 0; nil while nobody waits for that
}

// interrupted is a context for requests that can be told to ask again.
type interrupted struct {
	context.Context
	end context.CancelCauseFunc
}

func interruptible() *interrupted {
	ctx, end := context.WithCancelCause(context.Background())
	return &interrupted{ctx, end}
}

// wrap has requests end when the program is replaced.
func (c *changeover) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		until := c.others
		if follow := r.URL.Query().Get("follow"); follow != "" && follow != "0" {
			until = c.streams
		}
		c.mu.Unlock()
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(until, func() { cancel(context.Cause(until)) })()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// note counts connections, for http.Server.ConnState.
func (c *changeover) note(_ net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.open++
	case http.StateClosed, http.StateHijacked:
		if c.open--; c.open == 0 && c.none != nil {
			close(c.none)
			c.none = nil
		}
	}
}

// quiet is closed when there is no connection.
func (c *changeover) quiet() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	none := make(chan struct{})
	if c.open == 0 {
		close(none)
	} else {
		c.none = none
	}
	return none
}

// check has the program prove itself, and takes the right to replace ours. proceed must be called
// then.
func (c *changeover) check(ctx context.Context, program string) (version string, err error) {
	if !c.busy.CompareAndSwap(false, true) {
		return "", supervise.ErrBusy
	}
	defer func() {
		if err != nil {
			c.busy.Store(false)
		}
	}()
	if err := c.engine.CanBeReplaced(ctx); err != nil {
		return "", err
	}
	if err := c.engine.Save(ctx); err != nil {
		return "", err
	}
	next, err := c.engine.Handover(ctx)
	if err != nil {
		return "", err
	}
	m, err := c.manifest(next)
	if err != nil {
		return "", err
	}
	version, err = successor.Try(ctx, program, m, c.at.where().Runtime, c.o.Paths.State)
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return version, c.pause()
}

// pause has new connections wait in their queues.
func (c *changeover) pause() error {
	showPaused(c.at.where().Runtime)
	var errs []error
	for _, e := range c.entrances {
		errs = append(errs, e.base.pause())
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, c.resume())
	}
	return nil
}

func (c *changeover) resume() error {
	var errs []error
	for _, e := range c.entrances {
		errs = append(errs, e.base.resume())
	}
	return errors.Join(append(errs, hidePaused(c.at.where().Runtime))...)
}

// proceed replaces the program. It returns only if that failed; then all goes on.
func (c *changeover) proceed(program string) {
	err := c.replace(program)
	c.mu.Lock()
	c.failed = err.Error()
	c.streams, c.others = interruptible(), interruptible()
	c.mu.Unlock()
	c.busy.Store(false)
	for _, s := range c.servers {
		s.SetKeepAlivesEnabled(true)
	}
	c.o.Trouble(errors.Join(fmt.Errorf("upgrade to %s: %w", program, err), c.resume()))
}

func (c *changeover) replace(program string) error {
	// http.Server.Shutdown would drop a request that it finds just read. Each connection ends with
	// its answer instead.
	for _, s := range c.servers {
		s.SetKeepAlivesEnabled(false)
	}
	c.streams.end(errUpgrading)
	if err := c.drain(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stillTime)
	defer cancel()
	return c.engine.Standstill(ctx, func(next handover.ToProgram) error {
		m, err := c.manifest(next)
		if err != nil {
			return err
		}
		return successor.Become(program, m)
	})
}

// drain waits until every client has its answer.
func (c *changeover) drain() error {
	none := c.quiet()
	select {
	case <-none:
		return nil
	case <-time.After(answerTime):
	}
	c.others.end(errUpgrading)
	select {
	case <-none:
		return nil
	case <-time.After(quietTime):
		return fmt.Errorf("clients have not taken their answers within %v", answerTime+quietTime)
	}
}

func (c *changeover) manifest(next handover.ToProgram) (m successor.Manifest, err error) {
	c.at.mu.Lock()
	m = successor.Manifest{
		StateLock:   int(c.at.locks.state.Fd()),
		RuntimeLock: int(c.at.locks.dir.Fd()),
		Engine:      next,
	}
	c.at.mu.Unlock()
	if m.Control, err = c.entrances[0].base.descriptor(); err != nil {
		return m, err
	}
	if len(c.entrances) > 1 {
		m.TCPAddress = c.o.TCP.Listen
		m.TCP, err = c.entrances[1].base.descriptor()
	}
	return m, err
}

// upgrade answers when the new program has proven itself. Whether it is there then, the next answer
// tells, which is its own.
func (a *api) upgrade(ctx context.Context, req control.UpgradeRequest) (any, error) {
	if a.changeover == nil || a.changeover.o.Pinned {
		return nil, failed(control.Unsupported, "", "this supervisor runs in the foreground "+
			"(daemonry run): what started it has to start the new program")
	}
	if req.Program == "" || req.Program[0] != '/' {
		return nil, badRequest("", "program %q is not an absolute path", req.Program)
	}
	version, err := a.changeover.check(ctx, req.Program)
	if err != nil {
		return nil, failed(control.NotDone, "the supervisor goes on as it was", "%s", err)
	}
	go a.changeover.proceed(req.Program)
	return control.Upgrade{Version: version}, nil
}

// upgradeFailure is why the last upgrade failed after its request was answered.
func (a *api) upgradeFailure() string {
	if a.changeover == nil {
		return ""
	}
	a.changeover.mu.Lock()
	defer a.changeover.mu.Unlock()
	return a.changeover.failed
}

// inheritedListener makes a listener of a descriptor that the program before this one had open.
func inheritedListener(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, fmt.Errorf("control socket of the program before: %w", err)
	}
	return l, nil
}
