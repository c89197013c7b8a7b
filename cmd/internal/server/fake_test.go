package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/events"
	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// fakeEngine records what it is asked and answers what the test wants.
type fakeEngine struct {
	mu     sync.Mutex
	calls  []string
	apply  supervise.Apply
	signal syscall.Signal
	state  control.State

	statuses []control.Status
	spec     spec.Service
	plan     []control.Planned
	err      error
	block    chan struct{} // if set, changes wait for it or for the context
	begun    chan struct{} // told when a change begins to wait
	events   fakeEvents
}

func (f *fakeEngine) record(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

func (f *fakeEngine) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeEngine) change(ctx context.Context, verb string, names []string) error {
	for _, n := range names {
		verb += " " + n
	}
	f.record(verb)
	if f.block != nil {
		f.begun <- struct{}{}
		select {
		case <-f.block:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return f.err
}

func (f *fakeEngine) Apply(ctx context.Context, a supervise.Apply) ([]control.Planned, error) {
	f.apply = a
	return f.plan, f.change(ctx, "apply", nil)
}

func (f *fakeEngine) Start(ctx context.Context, names ...string) error {
	return f.change(ctx, "start", names)
}

func (f *fakeEngine) Stop(ctx context.Context, names ...string) error {
	return f.change(ctx, "stop", names)
}

func (f *fakeEngine) Restart(ctx context.Context, names ...string) error {
	return f.change(ctx, "restart", names)
}

func (f *fakeEngine) RestartRolling(ctx context.Context, names ...string) error {
	return f.change(ctx, "restart rolling", names)
}

func (f *fakeEngine) Reload(ctx context.Context, names ...string) error {
	return f.change(ctx, "reload", names)
}

func (f *fakeEngine) Remove(ctx context.Context, names ...string) error {
	return f.change(ctx, "remove", names)
}

func (f *fakeEngine) ReopenLogs(ctx context.Context, names ...string) error {
	return f.change(ctx, "reopen", names)
}

func (f *fakeEngine) Signal(ctx context.Context, sig syscall.Signal, names ...string) error {
	f.signal = sig
	return f.change(ctx, "signal", names)
}

func (f *fakeEngine) Wait(ctx context.Context, state control.State, names ...string) error {
	f.state = state
	return f.change(ctx, "wait", names)
}

func (f *fakeEngine) Status(_ context.Context, names ...string) ([]control.Status, error) {
	var list []control.Status
	for _, s := range f.statuses {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			list = append(list, s)
		}
	}
	if len(names) > 0 && len(list) == 0 {
		return nil, &supervise.NotFoundError{Name: names[0], Hint: "web"}
	}
	return list, f.err
}

func (f *fakeEngine) Unknown(context.Context) ([]control.Unknown, error) { return nil, nil }

func (f *fakeEngine) Spec(_ context.Context, name string) (spec.Service, error) {
	if name != f.spec.Name {
		return spec.Service{}, &supervise.NotFoundError{Name: name}
	}
	return f.spec, f.err
}

func (f *fakeEngine) Subscribe(
	_ context.Context, after uint64,
) ([]control.Event, Subscription, error) {
	return f.events.subscribe(after)
}

// fakeEvents is an event log that cuts off a subscriber when the test says so.
type fakeEvents struct {
	mu   sync.Mutex
	kept []control.Event
	subs []*fakeSub
}

type fakeSub struct {
	events chan control.Event
	lost   chan struct{}
	ended  chan struct{}
}

func (f *fakeEvents) subscribe(after uint64) ([]control.Event, Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeSub{
		events: make(chan control.Event, 1024),
		lost:   make(chan struct{}),
		ended:  make(chan struct{}),
	}
	f.subs = append(f.subs, s)
	var past []control.Event
	for _, ev := range f.kept {
		if ev.ID > after {
			past = append(past, ev)
		}
	}
	return past, s, nil
}

// emit keeps an event and delivers it to who subscribed last.
func (f *fakeEvents) emit(id uint64, service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ev := control.Event{
		ID:      id,
		Time:    time.Unix(int64(id), 0),
		Service: service,
		Kind:    control.EventSignal,
		Reason:  "TERM",
	}
	f.kept = append(f.kept, ev)
	if n := len(f.subs); n > 0 {
		f.subs[n-1].events <- ev
	}
}

// cut ends the last subscription as lagging, forgets events up to an ID, and keeps some nobody was
// told of.
func (f *fakeEvents) cut(forget uint64, untold ...uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range untold {
		f.kept = append(f.kept, control.Event{ID: id, Kind: control.EventTrouble, Reason: "untold"})
	}
	f.kept = slices.DeleteFunc(f.kept, func(ev control.Event) bool { return ev.ID <= forget })
	close(f.subs[len(f.subs)-1].lost)
}

func (f *fakeEvents) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		close(s.ended)
	}
}

func (s *fakeSub) Close() {}

func (s *fakeSub) Next(ctx context.Context) (control.Event, error) {
	select {
	case ev := <-s.events:
		return ev, nil
	default:
	}
	select {
	case ev := <-s.events:
		return ev, nil
	case <-s.lost:
		return control.Event{}, events.ErrLagged
	case <-s.ended:
		return control.Event{}, supervise.ErrClosed
	case <-ctx.Done():
		return control.Event{}, context.Cause(ctx)
	}
}

// fixture is the API on a real socket, before a fake engine.
type fixture struct {
	*control.Client
	engine *fakeEngine
	api    *api
	server *http.Server
	socket string
}

// serveFake serves the API; tweak changes it before. Every test that calls it checks that nothing
// is left: a connection that one test leaves to be closed in the next is blamed on that.
func serveFake(t *testing.T, tweak func(*api, *http.Server)) *fixture {
	t.Helper()
	proctest.CheckLeaks(t)
	f := &fixture{engine: &fakeEngine{}, socket: filepath.Join(shortDir(t), "control.sock")}
	stopped := make(chan struct{})
	f.api = Options{Version: "1.2.3"}.api(f.engine,
		sync.OnceFunc(func() { close(stopped) }), stopped)
	f.api.usage = func(pid int) (sys.Usage, error) {
		return sys.Usage{CPU: 1500 * time.Millisecond, Memory: int64(pid) << 20}, nil
	}
	l, err := listenUnix(f.socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.server = newServer(newHandler(f.api, peerGate(os.Geteuid(), nil)),
		func(err error) { t.Log(err) })
	if tweak != nil {
		tweak(f.api, f.server)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	f.Client = &control.Client{Socket: f.socket}
	t.Cleanup(func() {
		f.Client.Close()
		if err := f.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return f
}

// listenUnix opens a control socket with its name.
func listenUnix(path string, group *int) (*limited, error) {
	l, err := listenUnnamed(path, group)
	if err == nil {
		err = l.publish()
	}
	if err != nil && l != nil {
		err = errors.Join(err, l.Close())
	}
	return l, err
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
