// Package supervise owns every service: requests, dependencies, what is wanted, the take-over.
//
// What one service goes through is package lifecycle.
//
// One goroutine, Engine.Run, owns all state. Everything else, requests and workers alike, posts
// functions to it and waits for answers over channels.
//
// No goroutine and no thread waits for a child: a SIGCHLD makes the owner ask waitid(2) for all the
// dead at once. The engine's process is the subreaper of its services
// (PR_SET_CHILD_SUBREAPER), so that whatever a service forks and forgets becomes a child of
// the engine, is attributed to its service, and ends with it.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/events"
	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/logs/target"
	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/cmd/internal/registry"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// Options configure an Engine. The directories must exist, belong to us and be closed to others,
// who may pass through RuntimeDir where services run as other users (package paths).
type Options struct {
	RuntimeDir string // FIFOs, the notify socket; gone after a reboot
	StateDir   string // what is wanted; kept over a reboot
	LogDir     string // logs of services that name no file
	// Displaced is the state directory of the other kind of supervisor that may have had RuntimeDir
	// before: that of the background for a "run", that of a run for any other. "": there is none.
	Displaced string
	LogBudget int64 // bytes that all logs together may take, those of LogDir included; 0: no bound
	LogGroup  int   // group of log files, by number; 0: ours
	// Environ is what services inherit that were described without an environment (Apply.Environ).
	// Nil means the process's own.
	Environ []string
	// Trouble is told in one line what the engine itself has difficulties
	// with, such as a state directory that cannot be written. Nil: nobody.
	Trouble func(error)
	// Lock is a locked file that says that a supervisor owns the directories. Every process that is
	// being born holds it open until it executes its program, so that a successor, who waits for
	// it, finds them all born. May be nil.
	Lock *os.File
	// Handover is what the program before this one in this process has handed over (Standstill).
	// The descriptors are ours from here on. The zero value: there was none.
	Handover handover.ToProgram
	// Console is where the log target "stdout" prints. Without a file in it there is no such
	// target.
	Console target.Console
	// Cgroup is the directory of a control group (version 2) to run services below, each in a group
	// of its own; or cgroup.Auto or cgroup.None. One that cannot be used is an error.
	Cgroup string
	// EventsKept is the number of past events that a late subscriber can have. Default 1024.
	EventsKept int
}

// logDir is the log engine's part of the runtime directory.
const logDir = "log"

// Engine supervises services. Make it with New, run it with Run, and use its other
// methods from any goroutine while Run runs.
type Engine struct {
	o    Options
	loop *loop.Loop // whose owner has all that is below; ended when Run is over
	machine
	shared   lifecycle.Shared // of all services
	procs    *children.Table
	handover *handover.Table[*lifecycle.Service]
	hearing  *hearing.Hearing
	services *registry.Registry[*service]
	// stopping were asked to end together: of those, who needs another ends before it.
	stopping map[*service]struct{}
	logging
	disk
	still  still
	events *events.Log
}

// machine is what the engine has of the system.
type machine struct {
	spawner *spawn.Spawner
	cgroups *cgroup.Set // nil: none
	room    *supervised.Room
}

// logging is what services print.
type logging struct {
	logs     *logs.Engine
	removing map[string]chan struct{} // closed when the log of a service that is gone is gone too
	logsEnd  logsEnd
}

// disk is what is kept of services.
type disk struct {
	keeper   *kept.Keeper
	left     kept.Left              // of the predecessor, until Restore has taken it in
	unknown  map[string]kept.Record // of an earlier supervisor's services that nothing describes
	environs *environ.Set
}

// environDir, in the state directory, has a file for each environment.
const environDir = "environment"

// ErrClosed is the answer to a request when the engine is stopping or has stopped.
var ErrClosed = waiters.ErrClosed

// NotFoundError is registry.NotFoundError.
type NotFoundError = registry.NotFoundError

// New makes an engine and takes over the logs that an earlier one left. Nothing is started. State
// that cannot be read is an error: going on without it would forget what somebody wanted, or start
// what runs. Then nothing has been changed.
func New(o Options) (*Engine, error) {
	e := newEngine(o, lifecycle.RealKernel())
	var err error
	if e.left, err = kept.Find(o.dirs()); err != nil {
		return nil, err
	}
	if e.cgroups, err = cgroup.Open(o.Cgroup, o.RuntimeDir); err != nil {
		return nil, err
	}
	e.procs.UseGroups(e.cgroups)
	e.logs, err = logs.New(logs.Options{
		Dir: filepath.Join(o.RuntimeDir, logDir), Trouble: e.logTrouble, Console: o.Console,
		Budget: o.LogBudget, LogDir: o.LogDir, Group: o.LogGroup,
		StartProgram: e.startProgram,
	})
	if err != nil {
		return nil, err
	}
	if err := e.keeper.Open(o.dirs()); err != nil {
		return nil, errors.Join(err, e.logs.Close())
	}
	if err := e.hearing.Open(o.RuntimeDir, o.Handover.Notify); err != nil {
		return nil, errors.Join(err, e.logs.Close())
	}
	if err := e.handover.Open(); err != nil {
		return nil, errors.Join(err, e.hearing.Close(), e.logs.Close())
	}
	e.spawner = spawn.NewSpawner()
	e.shared.Kernel.Start = e.spawner.Start
	return e, nil
}

// Abandon closes an engine that does not run and is not to. All that it has found is left as it
// was.
func (e *Engine) Abandon() error {
	e.loop.End()
	return e.close(false) // the control groups stay: services may be in them
}

// newEngine is an engine without logs, notify socket and processes, which tests give what they
// need.
func newEngine(o Options, k lifecycle.Kernel) *Engine {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.EventsKept == 0 {
		o.EventsKept = 1024
	}
	if o.Trouble == nil {
		o.Trouble = func(error) {}
	}
	e := &Engine{
		o:        o,
		loop:     loop.New(ErrClosed),
		machine:  machine{room: supervised.NewRoom()},
		services: registry.New[*service](),
		stopping: map[*service]struct{}{},
		logging:  logging{removing: map[string]chan struct{}{}},
	}
	e.events = events.New(e.loop, o.EventsKept, o.Handover.Event)
	e.shared = lifecycle.Shared{Loop: e.loop, Kernel: k, Trouble: o.Trouble}
	e.procs = children.New(&e.shared.Kernel.Kernel, e.loop, o.Trouble)
	e.keeper = e.newKeeper()
	e.unknown = map[string]kept.Record{}
	e.environs = environ.NewSet(filepath.Join(o.StateDir, environDir))
	e.handover = e.newHandover()
	e.hearing = hearing.New(hearing.Options{
		Loop: e.loop, Take: e.shared.TakeIn, Expecting: e.procs.Expecting, Trouble: o.Trouble,
		Close: func(p *sys.Packet) { e.handover.CloseFiles(p) },
	})
	e.shared.Open()
	e.shared.Procs, e.shared.Handover, e.shared.Hearing = e.procs, e.handover, e.hearing
	return e
}

func (e *Engine) newHandover() *handover.Table[*lifecycle.Service] {
	return handover.New(handover.Options[*lifecycle.Service]{
		Post: e.post,
		Room: func() (func(), error) {
			return func() { e.room.Leave(1) }, e.room.Enter(context.Background(), 1)
		},
		Failed:  (*lifecycle.Service).Trouble,
		Trouble: e.o.Trouble,
		Given:   e.o.Handover,
	})
}

// Run supervises until ctx ends, then stops every service in order and
// returns. What is wanted of each service stays on disk; the error says if it is not.
func (e *Engine) Run(ctx context.Context) error {
	defer e.loop.End()
	exits, stop, err := e.shared.Kernel.Watch()
	if err != nil {
		return errors.Join(err, e.close(true))
	}
	defer stop()
	e.shared.Begin()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.hearing.Listen(ctx)
	go e.handover.See()
	done := ctx.Done()
	e.procs.Reap() // what died before the first signal could be caught
	for !e.over() || !e.endLogs() {
		select {
		case <-e.loop.Wake():
			e.loop.Run()
		case <-exits:
			e.procs.Reap()
		case <-done:
			done = nil
			e.shutdown()
		}
		e.tryStill()
	}
	return errors.Join(e.endDisk(), e.close(true))
}

// logTrouble is called by the log engine's workers, which do not wait.
func (e *Engine) logTrouble(id string, err error) {
	e.post(func() {
		if s := e.services.Named(id); s != nil {
			s.logError = ""
			if err != nil {
				s.logError = err.Error()
			}
			s.Tell(control.EventLog, "%s", troubleText(err))
		}
	})
}

func troubleText(err error) string {
	if err == nil {
		return "log can be written again"
	}
	return err.Error()
}

// tell tells of what has happened to the supervisor itself.
func (e *Engine) tell(kind control.EventKind, text string) {
	e.events.Add(control.Event{Kind: kind, Reason: text})
}

// post has f run by the owner, after what it is doing now. When the engine has ended, f is dropped.
func (e *Engine) post(f func()) { e.loop.Post(f) }

// ask has f run by the owner and returns when that is done. If it returns an error, f was not run
// and never will be.
func (e *Engine) ask(ctx context.Context, f func()) error { return e.loop.Ask(ctx, f) }

// answered is what the owner answers, or why there is no answer.
func (e *Engine) answered(ctx context.Context, answer <-chan error) error {
	said, end := loop.Await(ctx, e.loop, answer)
	return cmp.Or(said, end)
}

// work runs f outside of the owner, and what it returns by the owner.
func (e *Engine) work(f func() func()) { e.loop.Work(f) }
