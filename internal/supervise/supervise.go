// Package supervise owns every service: start, ready, restart, stop, adopt, events.
//
// One goroutine, Engine.Run, owns all state. Everything else, requests and
// workers alike, posts functions to it and waits for answers over channels. Time is
// that of package time, so that testing/synctest replaces it; the kernel is reached through the
// kernel struct, which tests replace too.
//
// No goroutine and no thread waits for a child: a SIGCHLD makes the owner ask waitid(2) for all the
// dead at once. The engine's process is the subreaper of its services
// (PR_SET_CHILD_SUBREAPER), so that whatever a service forks and forgets becomes a child of
// the engine, is attributed to its service, and ends with it.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/daemonry/daemonry/internal/logs"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Options configure an Engine. The directories must exist, belong to us and be closed to others.
type Options struct {
	RuntimeDir string // FIFOs, the notify socket; gone after a reboot
	StateDir   string // what is wanted; kept over a reboot
	LogDir     string // logs of services that name no file
	// Environ is what services inherit. Nil means the process's own.
	Environ []string
	// Trouble is told in one line what the engine itself has difficulties
	// with, such as a state directory that cannot be written. Nil: nobody.
	Trouble func(error)
	// EventsKept is the number of past events that a late subscriber can have. Default 1024.
	EventsKept int
}

// Engine supervises services. Make it with New, run it with Run, and use its other
// methods from any goroutine while Run runs.
type Engine struct {
	o      Options
	kernel kernel
	table  *table
	logs   *logs.Engine
	notify *sys.NotifySocket

	inbox chan func()
	ended chan struct{} // closed when Run is over

	// Owned by Run.
	services map[string]*service
	byPID    map[int]*service
	commands map[int]*command
	orphans  map[int]*service      // adopted children, with the service they belong to; nil for nobody's
	pending  map[*service]struct{} // waiting for others: to start, or to stop
	stopping map[*service]struct{} // being ended because they are not wanted
	starting int                   // starts under way whose pid is not known yet
	early    map[int]exitStatus    // exits of children nobody has claimed yet, while starting > 0
	workers  chan struct{}         // a place for each start and drain under way
	events   eventLog
	closing  bool
	idle     chan struct{} // closed when closing and all is stopped
	started  time.Time
}

// ErrLagged is the end of a subscription whose listener was too slow.
var ErrLagged = errors.New("too slow: events were missed")

// ErrClosed is the answer to a request when the engine is stopping or has stopped.
var ErrClosed = errors.New("the supervisor is shutting down")

// NotFoundError says that there is no service of that name.
type NotFoundError struct {
	Name string
	Hint string // a name that is alike
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s: no such service", e.Name) }

// New makes an engine and takes over the logs that an earlier one left. Nothing is started.
func New(o Options) (*Engine, error) {
	e := newEngine(o)
	var err error
	e.logs, err = logs.New(logs.Options{Dir: filepath.Join(o.RuntimeDir, "log"), Trouble: e.logTrouble})
	if err != nil {
		return nil, err
	}
	if err := e.openNotify(); err != nil {
		return nil, errors.Join(err, e.logs.Close())
	}
	return e, nil
}

func newEngine(o Options) *Engine {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.EventsKept == 0 {
		o.EventsKept = 1024
	}
	if o.Trouble == nil {
		o.Trouble = func(error) {}
	}
	return &Engine{
		o:        o,
		kernel:   realKernel(),
		table:    reactions(),
		inbox:    make(chan func()),
		ended:    make(chan struct{}),
		services: map[string]*service{},
		byPID:    map[int]*service{},
		commands: map[int]*command{},
		orphans:  map[int]*service{},
		pending:  map[*service]struct{}{},
		stopping: map[*service]struct{}{},
		early:    map[int]exitStatus{},
		workers:  make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		events:   eventLog{keep: o.EventsKept},
		idle:     make(chan struct{}),
		started:  time.Now(),
	}
}

// Run supervises until ctx ends, then stops every service in order and
// returns. What is wanted of each service stays on disk.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.ended)
	exits, stop, err := e.kernel.watch()
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if e.notify != nil {
		go e.hear(ctx)
	}
	done := ctx.Done()
	e.reapAll() // what died before the first signal could be caught
	for {
		select {
		case f := <-e.inbox:
			f()
		case <-exits:
			e.reapAll()
		case <-done:
			done = nil
			e.shutdown()
		case <-e.idle:
			return e.close()
		}
	}
}

func (e *Engine) close() error {
	var errs []error
	if e.notify != nil {
		errs = append(errs, e.notify.Close())
	}
	if e.logs != nil {
		errs = append(errs, e.logs.Close())
	}
	return errors.Join(errs...)
}

// post has f run by the owner, some time. It is for workers, which have
// nobody to answer to; when the engine has ended f is dropped.
func (e *Engine) post(f func()) {
	select {
	case e.inbox <- f:
	case <-e.ended:
	}
}

// ask has f run by the owner and returns when that is done.
func (e *Engine) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case e.inbox <- func() { f(); close(done) }:
		<-done
		return nil
	case <-e.ended:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// work runs f outside of the owner, as soon as there is a place.
func (e *Engine) work(f func()) {
	go func() {
		e.workers <- struct{}{}
		defer func() { <-e.workers }()
		f()
	}()
}

// logTrouble is called by the log engine's workers.
func (e *Engine) logTrouble(id string, err error) {
	go e.post(func() {
		if s := e.services[id]; s != nil {
			e.emit(s, Event{Kind: EventLog, Reason: troubleText(err)})
		}
	})
}

func troubleText(err error) string {
	if err == nil {
		return "log can be written again"
	}
	return err.Error()
}

// find returns the services of names, all of them if there are none. A name
// stands for all instances of a service as well.
func (e *Engine) find(names []string) ([]*service, error) {
	if len(names) == 0 {
		return e.sorted(), nil
	}
	var found []*service
	seen := map[*service]bool{}
	for _, name := range names {
		n := len(found)
		for _, s := range e.sorted() {
			if s.spec.Name != name && s.spec.BaseName() != name {
				continue
			}
			n = -1
			if !seen[s] {
				seen[s] = true
				found = append(found, s)
			}
		}
		if n >= 0 {
			return nil, &NotFoundError{Name: name, Hint: spec.Nearest(name, e.names())}
		}
	}
	return found, nil
}
