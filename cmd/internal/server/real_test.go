//go:build linux

package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// supervisor is a whole one, in this process: real engine, real services.
type supervisor struct {
	*control.Client
	paths   paths.Paths
	cancel  context.CancelFunc
	ended   chan error
	trouble func() []error
}

// startSupervisor returns when it is ready. It is ended with the test.
func startSupervisor(t *testing.T, root string, tweak func(*Options)) *supervisor {
	t.Helper()
	p, err := paths.Of(
		func(name string) string { return map[string]string{"DAEMONRY_ROOT": root}[name] },
		os.Geteuid(),
	)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var troubles []error
	ready := make(chan struct{})
	o := Options{
		Paths: p, Version: "test", Metrics: true,
		Ready:   func() error { close(ready); return nil },
		Trouble: func(err error) { mu.Lock(); defer mu.Unlock(); troubles = append(troubles, err) },
	}
	if tweak != nil {
		tweak(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &supervisor{
		Client: &control.Client{Socket: p.Socket()},
		paths:  p,
		cancel: cancel,
		ended:  make(chan error, 1),
	}
	s.trouble = func() []error { mu.Lock(); defer mu.Unlock(); return slices.Clone(troubles) }
	go func() { s.ended <- Serve(ctx, o) }()
	select {
	case <-ready:
	case err := <-s.ended:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// end stops the supervisor, once.
func (s *supervisor) end(t *testing.T) {
	t.Helper()
	s.Client.Close()
	s.cancel()
	if s.ended == nil {
		return
	}
	select {
	case err := <-s.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the supervisor does not end")
	}
	s.ended = nil
	for _, err := range s.trouble() {
		t.Errorf("trouble: %v", err)
	}
}

// sleeper is a service that runs until it is stopped.
func sleeper(name string) spec.Service {
	return spec.Service{
		Name:    name,
		Command: spec.Command{"sleep", "1000"},
		Ready:   spec.Probe{Kind: spec.ProbeExec},
	}
}

func TestLifeOfServices(t *testing.T) {
	proctest.CheckLeaks(t)
	ctx := t.Context()
	s := startSupervisor(t, shortDir(t), nil)
	web := sleeper("web")
	web.Instances, web.Requires = 2, []string{"db"}
	crash := spec.Service{
		Name:        "crash",
		Command:     spec.Command{"sh", "-c", "echo oops; exit 7"},
		Ready:       spec.Probe{Kind: spec.ProbeNotify},
		Supervision: spec.Supervision{Restart: spec.RestartNo},
	}
	all := control.ApplyRequest{
		Source:   "/etc/app.toml",
		Services: []spec.Service{sleeper("db"), web, crash},
	}

	all.Plan = true
	plan, err := s.Apply(ctx, all)
	if err != nil || len(plan) != 4 || plan[0].Action != control.ActionAdd {
		t.Fatalf("plan: %+v, %v", plan, err)
	}
	if list, err := s.Status(ctx, control.StatusRequest{}); err != nil || len(list) != 0 {
		t.Fatalf("a plan has changed something: %v, %v", list, err)
	}
	all.Plan = false
	plan, err = s.Apply(ctx, all)
	var e *control.Error
	if !errors.As(err, &e) || !errors.Is(err, control.NotDone) || len(e.Failures) != 1 ||
		len(plan) != 4 {
		t.Fatalf("apply: %+v, %v", plan, err)
	}
	if f := e.Failures[0]; f.Name != "crash" || f.Exit == nil || f.Exit.Status() != 7 ||
		!slices.Equal(f.Exit.Words, []string{"oops"}) {
		t.Errorf("failure: %+v", f)
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: []string{"web"}, Usage: true})
	if err != nil || len(list) != 2 {
		t.Fatalf("status: %+v, %v", list, err)
	}
	for i, st := range list {
		if st.Name != fmt.Sprintf("web@%d", i+1) || st.State != control.Ready || !st.Ready ||
			st.PID == 0 || st.Started.IsZero() ||
			st.Since.IsZero() ||
			st.Source != "/etc/app.toml" || st.CPU == nil || st.Memory == nil || *st.Memory == 0 {
			t.Errorf("status: %+v", st)
		}
		if !proctest.Alive(st.PID) {
			t.Errorf("%s: no process %d", st.Name, st.PID)
		}
	}
	pid := list[0].PID
	if err := s.Signal(ctx,
		control.SignalRequest{Names: control.Named("web@1"), Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, pid)
	if err := s.Wait(ctx, control.WaitRequest{
		Names:   control.Named("web"),
		State:   control.Ready,
		Timeout: spec.Duration(20 * time.Second),
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(ctx, control.Names{All: true}); err != nil {
		t.Fatal(err)
	}
	if proctest.Alive(list[1].PID) {
		t.Error("web@2 survives its stop")
	}
	if h, err := s.Health(ctx); err != nil || !h.Healthy {
		t.Errorf("health: %+v, %v", h, err)
	}
}

func TestRestoreAndShutdown(t *testing.T) {
	proctest.CheckLeaks(t)
	root, ctx := shortDir(t), t.Context()
	s := startSupervisor(t, root, nil)
	if _, err := s.Apply(ctx,
		control.ApplyRequest{Services: []spec.Service{sleeper("a"), sleeper("b")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(ctx, control.Named("b")); err != nil {
		t.Fatal(err)
	}
	list, err := s.Status(ctx, control.StatusRequest{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if proctest.Alive(list[0].PID) {
		t.Error("a survives the supervisor")
	}
	s.end(t)
	if _, err := os.Lstat(s.paths.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	var gone *control.UnreachableError
	if _, err := s.Supervisor(ctx); !errors.As(err, &gone) {
		t.Errorf("nobody listens, and the client says %v", err)
	}

	s = startSupervisor(t, root, nil)
	if err := s.Wait(ctx, control.WaitRequest{
		Names:   control.Named("a"),
		State:   control.Ready,
		Timeout: spec.Duration(20 * time.Second),
	}); err != nil {
		t.Fatal(err)
	}
	about, err := s.Supervisor(ctx)
	if err != nil || about.Services != 2 || about.States[control.Ready] != 1 ||
		about.States[control.Stopped] != 1 ||
		about.PID != os.Getpid() || about.Version != "test" ||
		about.Uptime <= 0 || about.StateDir != filepath.Join(root, "state") {
		t.Errorf("supervisor: %+v, %v", about, err)
	}
}
