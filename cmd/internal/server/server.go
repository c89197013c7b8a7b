// Package server serves the control API by sending messages to the engine.
//
// It speaks HTTP/1.1 with JSON over a Unix socket whose directory is closed to
// others, and, only if told to, over TCP to who shows a token or a certificate.
// docs/api.md describes what it serves, package control the words. Nothing is kept here:
// every answer is what the engine says at that moment.
//
// A request that takes long, a start that waits until it is ready, may take as
// long as it needs. When the client goes away the waiting ends, not the work.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/target"
	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
)

// Options of a supervisor.
type Options struct {
	Paths   paths.Paths
	Version string // of the program, for who asks
	Group   *int   // may use the socket besides root and the owner; nil: no group
	TCP     TCP    // the zero value: no TCP
	Metrics bool   // serve /metrics
	// LogBudget is how many bytes all logs together may take; 0: no bound.
	LogBudget int64
	// Cgroup is where the control groups of services are made; see [supervise.Options].
	Cgroup  string
	Environ []string       // what services inherit; nil: our own
	Console target.Console // where the log target "stdout" prints; the zero value: nowhere
	// Pinned refuses to have the program replaced: it holds more than a supervisor's successor
	// would be told of.
	Pinned bool
	// Displaced is the state directory of the other kind of supervisor; see [supervise.Options].
	Displaced string
	// Inherited is what the program before this one in this process has left open for it. Nil:
	// there was none.
	Inherited *successor.Manifest
	// Deaf takes no signals: they are the caller's, who ends ctx.
	Deaf bool
	// Ready is called once the API answers. Its error ends the supervisor. May be nil.
	Ready func() error
	// Trouble is told in one line what the supervisor has difficulties with. Nil: nobody.
	Trouble func(error)
}

// Serve is a supervisor: it owns the directories, runs what an earlier one
// left wanted, and serves the API, until ctx ends, SIGTERM or SIGINT comes, or a client
// asks for it. Then it stops every service in order and returns. SIGHUP opens the logs
// of services anew; a supervisor that loses its terminal goes on.
//
// If another supervisor owns one of the directories the error is a [*RunningError].
func Serve(ctx context.Context, o Options) (err error) {
	if o.Trouble == nil {
		o.Trouble = func(error) {}
	}
	sys.ReserveThreads(spareThreads)
	hangups := make(chan os.Signal, 1)
	if !o.Deaf {
		// Before anything else: a signal that comes early must not end us in the middle.
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}

	at, err := o.settle()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.release()) }()
	o.Paths = at.where()
	if path := o.Paths.Socket(); len(path) > maxSocketPath { // before anything else is made
		return fmt.Errorf("control socket %s: the path has %d bytes, and %d are possible",
			path, len(path), maxSocketPath)
	}
	group, err := o.Paths.LogGroup()
	if err != nil {
		return err
	}
	options := supervise.Options{
		RuntimeDir: o.Paths.Runtime, StateDir: o.Paths.State, LogDir: o.Paths.Log,
		Environ: o.Environ, Trouble: o.Trouble,
		LogBudget: o.LogBudget, LogGroup: group, Cgroup: o.Cgroup, Console: o.Console,
		Lock: at.locks.state, Displaced: o.Displaced,
	}
	if m := o.Inherited; m != nil {
		options.Handover = m.Engine
	}
	engine, err := supervise.New(options)
	if err != nil {
		return err
	}
	// The doors come last: who cannot open them leaves those of the last supervisor as they are.
	gates, err := o.open()
	if err != nil {
		return errors.Join(err, engine.Abandon())
	}
	defer func() { err = errors.Join(err, closeAll(gates)) }()
	if ctx.Err() != nil { // told to end before it began: nothing is ended for that
		return engine.Abandon()
	}
	if err := gates[0].base.publish(); err != nil {
		return errors.Join(err, engine.Abandon())
	}
	engine.Restore()
	go reopenLogs(ctx, engine, hangups, o.Trouble)
	defer context.AfterFunc(ctx, func() { // what was set aside is for the end, too
		for _, g := range gates {
			g.base.spend()
		}
	})()
	k := &keeper{o: o, at: at, engine: engine, control: gates[0].base}
	defer k.keep(ctx)()
	return o.run(ctx, engine, gates, &changeover{o: o, engine: engine, at: at, entrances: gates,
		streams: interruptible(), others: interruptible()})
}

// spareThreads is how many threads are made before any service can have taken all that the kernel
// allows. It is more than were seen in use when a service crashed and twelve clients asked at a
// time, and few enough for all threads to be twenty at most (docs/benchmarks.md).
const spareThreads = 14

// reopenLogs has the logs opened anew at each signal, as logrotate(8) wants it, until ctx ends.
func reopenLogs(
	ctx context.Context, engine *supervise.Engine, signals <-chan os.Signal, trouble func(error),
) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			if err := engine.ReopenLogs(ctx); err != nil && ctx.Err() == nil {
				trouble(fmt.Errorf("reopen logs: %w", err))
			}
		}
	}
}

// entrance is a listener and who may come in.
type entrance struct {
	net.Listener
	base    *limited
	allowed gate
}

// open opens the doors, the control socket last.
func (o Options) open() ([]entrance, error) {
	list, err := o.openTCP()
	if err != nil {
		return nil, err
	}
	control, err := o.openControl()
	if err != nil {
		return nil, errors.Join(err, closeAll(list))
	}
	list = append([]entrance{{control, control, peerGate(os.Geteuid(), o.Group)}}, list...)
	for _, e := range list {
		e.base.trouble = o.Trouble
	}
	return list, nil
}

func (o Options) openTCP() ([]entrance, error) {
	tcp := 0
	if m := o.Inherited; m != nil && m.TCP > 0 {
		if tcp = m.TCP; m.TCPAddress != o.TCP.Listen { // the settings have changed
			if err := sys.CloseFD(m.TCP); err != nil {
				return nil, err
			}
			tcp = 0
		}
	}
	if o.TCP == (TCP{}) {
		return nil, nil
	}
	l, base, allowed, err := listenTCP(o.TCP, tcp)
	if err != nil {
		return nil, err
	}
	return []entrance{{l, base, allowed}}, nil
}

func (o Options) openControl() (*limited, error) {
	if o.Inherited == nil {
		return listenUnnamed(o.Paths.Socket(), o.Group)
	}
	l, err := inheritedListener(o.Inherited.Control)
	if err != nil {
		return nil, err
	}
	// The settings may have changed. Without a name it gets another one (keeper).
	if err := share(o.Paths.Socket(), o.Group); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	limited := limit(l, mostConns(sys.MostDescriptors()))
	limited.at, limited.path = o.Paths.Socket(), o.Paths.Socket()
	return limited, nil
}

// closeAll closes listeners, of which the HTTP servers may have closed some.
func closeAll(list []entrance) error {
	var errs []error
	for _, e := range list {
		if err := e.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// run runs the engine and the servers.
func (o Options) run(
	ctx context.Context, engine *supervise.Engine, entrances []entrance, c *changeover,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		err := engine.Run(ctx)
		close(stopped)
		ended <- err
	}()
	a := o.api(realEngine{engine}, cancel, stopped)
	a.where = c.at.where
	a.about.Adopted, a.changeover = engine.Adopted(), c
	base, end := context.WithCancelCause(context.Background())
	var servers []*http.Server
	c.mu.Lock() // until all are there, nobody's request is looked at
	for _, e := range entrances {
		h := newSpare(newHandler(a, e.allowed))
		defer h.stop()
		servers = append(servers, o.serve(base, c.wrap(h), e, c.note))
	}
	c.servers = servers
	c.mu.Unlock()
	var errs []error
	if err := hidePaused(o.Paths.Runtime); err != nil { // of the program before
		o.Trouble(err)
	}
	if o.Ready != nil {
		if err := o.Ready(); err != nil {
			errs = append(errs, fmt.Errorf("say that the supervisor is ready: %w", err))
			cancel()
		}
	}
	errs = append(errs, <-ended)
	end(supervise.ErrClosed) // of those that follow a log, for the engine does not know them
	return errors.Join(append(errs, shutdown(servers))...)
}

func (o Options) api(e Engine, stop func(), stopped <-chan struct{}) *api {
	started := time.Now()
	return &api{
		engine: e, usage: usageOf, started: started, metrics: o.Metrics,
		heartbeat: 15 * time.Second, writeTime: writeTime, stop: stop, stopped: stopped,
		about: control.Supervisor{
			PID: os.Getpid(), Version: o.Version, API: control.Version, Started: started,
			RuntimeDir: o.Paths.Runtime, StateDir: o.Paths.State, LogDir: o.Paths.Log,
		},
	}
}

const (
	headerTime = 10 * time.Second // for the head of a request
	readTime   = 30 * time.Second // for all of a request
	idleTime   = 2 * time.Minute  // between requests
	maxHeader  = 64 << 10
	// lastAnswers is how long answers may take once the engine has ended: all that wait have been
	// answered by it.
	lastAnswers = 5 * time.Second
)

// newServer makes a server whose every wait for a client has an end.
func newServer(h http.Handler, trouble func(error)) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 has deadlines of its own
	return &http.Server{
		Handler: h, Protocols: protocols,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ConnContext: withPeer,
		ErrorLog: log.New(troubleWriter(trouble), "", 0),
	}
}

// serve serves one listener. If that fails the services go on: they must not
// die because nobody can ask about them.
func (o Options) serve(
	base context.Context, h http.Handler, l net.Listener, note func(net.Conn, http.ConnState),
) *http.Server {
	s := newServer(h, o.Trouble)
	s.ConnState = note
	s.BaseContext = func(net.Listener) context.Context { return base }
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			o.Trouble(fmt.Errorf("control API at %v: %w", l.Addr(), err))
		}
	}()
	return s
}

// shutdown lets the last answers go out.
func shutdown(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = s.Close()
			errs = append(errs, err)
		} else if err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// troubleWriter takes the net/http server's log lines.
type troubleWriter func(error)

func (t troubleWriter) Write(p []byte) (int, error) {
	t(errors.New("control API: " + strings.TrimSpace(string(p))))
	return len(p), nil
}
