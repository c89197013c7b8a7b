package supervise

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/environ"
	"github.com/daemonry/daemonry/cmd/internal/events"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// The states of a service.
const (
	Stopped   = control.Stopped
	Waiting   = control.Waiting
	Starting  = control.Starting
	Ready     = control.Ready
	Stopping  = control.Stopping
	Backoff   = control.Backoff
	Failed    = control.Failed
	Listening = control.Listening
)

// service is one of the engine's, with all that has to do with others. The owner alone touches it.
// It is the lifecycle.Owner of what it has.
type service struct {
	lifecycle.Service
	engine *Engine

	source    string               // the file it came from, "" for the command line
	environ   *environ.Environment // of the command that described it; nil: ours
	described kept.Description     // when the description became what it is

	held     bool   // stopped by hand: neither up nor a boot starts it
	removed  bool   // to be forgotten when stopped
	logError string // why its log cannot be written

	obstacle   waiters.Obstacle // while it waits: why what it waits for does not come about
	rechecking bool             // whether it still has to wait is about to be looked at
	// follows were removed by the request that added this one, and are most likely the same under
	// an old name: it starts when they have gone.
	follows  []*service
	followed []*service // of one that is being removed: the services that wait for it so

	rolling rolling
	waiters *waiters.List // of a process that is not in the registry: nobody
}

// rolling are the other processes of a service, of the value that is in the registry.
type rolling struct {
	replacement *service              // comes up to take its place
	replaced    map[*service]struct{} // have given it their place and are being ended

	// Of those that are not in the registry:
	replaces   *service
	replacedBy *service
	told       func(error) // how the replacement's start ended, once
}

// all are the processes beside that of the registry.
func (r *rolling) all() []*service {
	list := slices.Collect(maps.Keys(r.replaced))
	if r.replacement != nil {
		list = append(list, r.replacement)
	}
	return list
}

// newService is a service of which nothing runs.
func (e *Engine) newService(
	described spec.Service, source string, environ *environ.Environment,
) *service {
	s := &service{engine: e, source: source, environ: environ}
	s.waiters = waiters.New(s)
	s.Init(&e.shared, s, described)
	return s
}

// serviceOf is whose it is.
func serviceOf(s *lifecycle.Service) *service { return s.Owner().(*service) }

// Held says that s was stopped by hand.
func (s *service) Held() bool { return s.held }

// Obstacle says why what s waits for does not come about.
func (s *service) Obstacle() waiters.Obstacle { return s.obstacle }

// Blocker says what s has to wait for before it may start.
func (s *service) Blocker() (text string) {
	text, s.obstacle = s.engine.blocker(s)
	return text
}

// MustHold says whether something that needs s is still to be ended before it.
func (s *service) MustHold() bool { return s.engine.mustHold(s) }

// Changed lets those go on that wait for s.
func (s *service) Changed() {
	e, state := s.engine, s.State()
	if state != Waiting {
		s.obstacle = waiters.Obstacle{}
	}
	if state != Stopping {
		delete(e.stopping, s)
	}
	s.waiters.Wake()
	e.changedFor(s)
	if s.removed && state == Stopped {
		e.forget(s)
	}
}

// Up tells those that wait for s, and ends what it has replaced.
func (s *service) Up() {
	s.waiters.Wake()
	s.engine.endReplaced(s)
}

// CannotEnd has nobody wait for an end that may take for ever.
func (s *service) CannotEnd() {
	s.waiters.Wake()
	s.engine.recheckFollowers(s)
}

// Launch is for a process of s.
func (s *service) Launch() supervised.Launch {
	e := s.engine
	l := supervised.Launch{
		Environ: e.o.Environ, NoGroup: e.cgroups.For(s.Spec().Cgroup).Reason(),
		ReadyPipe: e.readyPipe(s.Name()), Lock: e.o.Lock, Room: e.room,
		Logs: e.logs, LogDir: e.o.LogDir, Removing: e.removing[s.Name()],
	}
	if s.environ != nil {
		l.Environ, l.EnvironErr = s.environ.Vars()
	}
	return l
}

// readyPipe is the FIFO of a service that says it is ready by writing to a descriptor. A pipe
// without a name would end with us, and the service by SIGPIPE; from this one a successor can read.
func (e *Engine) readyPipe(name string) string {
	return filepath.Join(e.o.RuntimeDir, "ready", name)
}

// Subscribe delivers events from now on, after those kept with an ID above after; math.MaxUint64
// means none of those.
func (e *Engine) Subscribe(
	ctx context.Context, after uint64,
) ([]control.Event, *events.Subscription, error) {
	return e.events.Subscribe(ctx, after)
}

// Emit delivers what has happened to s.
func (s *service) Emit(ev control.Event) {
	if s.Role() != lifecycle.Main {
		ev = s.ofBeside(ev)
	}
	s.engine.events.Add(ev)
}

// registered is the value in the registry for the service that s is a process of.
func (s *service) registered() *service {
	for s.rolling.replaces != nil || s.rolling.replacedBy != nil {
		if s.rolling.replaces != nil {
			s = s.rolling.replaces
		} else {
			s = s.rolling.replacedBy
		}
	}
	return s
}

// Role is which of the processes of a service s is.
func (s *service) Role() lifecycle.Role {
	switch {
	case s.rolling.replaces != nil:
		return lifecycle.Replacement
	case s.rolling.replacedBy != nil:
		return lifecycle.Replaced
	}
	return lifecycle.Main
}

// Registered is registered, for package lifecycle.
func (s *service) Registered() *lifecycle.Service { return &s.registered().Service }

// beside are the processes of s that are not the one in the registry.
func (s *service) beside() (list []kept.Beside) {
	add := func(s *service) {
		b := kept.Beside{Invocation: s.Invocation()}
		if s.PID() != 0 {
			b.Main, b.Session = s.Identity(), s.Session()
		}
		list = append(list, b)
	}
	if s.rolling.replacement != nil {
		add(s.rolling.replacement)
	}
	for left := range s.rolling.replaced {
		add(left)
	}
	return list
}
