//go:build linux

package server

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// rootPaths makes the directories of a supervisor.
func rootPaths(t *testing.T, root string) paths.Paths {
	t.Helper()
	p, err := paths.Of(
		func(name string) string { return map[string]string{"DAEMONRY_ROOT": root}[name] },
		os.Geteuid(),
	)
	if err == nil {
		err = p.Create(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// However many race, one wins, and the others know who.
// lock makes us the supervisor of both directories.
func lock(p paths.Paths) (l locks, err error) {
	if l.state, err = lockState(p.State); err != nil {
		return l, err
	}
	if l.dir, err = lockRuntime(p.Runtime); err != nil {
		return l, errors.Join(err, l.state.Close())
	}
	return l, nil
}

func TestOneSupervisor(t *testing.T) {
	p := rootPaths(t, shortDir(t))
	for range 20 {
		var group sync.WaitGroup
		var mu sync.Mutex
		var won []func() error
		for range 8 {
			group.Go(func() {
				held, err := lock(p)
				mu.Lock()
				defer mu.Unlock()
				var running *RunningError
				switch {
				case err == nil:
					won = append(won, held.release)
				case !errors.As(err, &running) || running.Dir != p.State ||
					running.PID != 0 && running.PID != os.Getpid():
					t.Errorf("error: %v", err)
				}
			})
		}
		group.Wait()
		if len(won) != 1 {
			t.Fatalf("%d supervisors at a time", len(won))
		}
		if err := won[0](); err != nil {
			t.Fatal(err)
		}
	}
}

// One user, two runtime directories, one state; and the other way round.
func TestEitherDirectoryIsEnough(t *testing.T) {
	one, two := rootPaths(t, shortDir(t)), rootPaths(t, shortDir(t))
	held, err := lock(one)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []paths.Paths{
		{Runtime: two.Runtime, State: one.State}, {Runtime: one.Runtime, State: two.State},
	} {
		var running *RunningError
		if _, err := lock(p); !errors.As(err, &running) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := held.release(); err != nil {
		t.Fatal(err)
	}
	// What failed above has kept nothing.
	for _, p := range []paths.Paths{one, two} {
		held, err := lock(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := held.release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecondSupervisorLeavesTheFirstAlone(t *testing.T) {
	proctest.CheckLeaks(t)
	s := startSupervisor(t, shortDir(t), nil)
	err := Serve(t.Context(), Options{Paths: s.paths})
	var running *RunningError
	if !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Errorf("a second supervisor: %v", err)
	}
	if _, err := s.Supervisor(t.Context()); err != nil {
		t.Errorf("the first: %v", err)
	}
}

func TestServeReportsItsFailures(t *testing.T) {
	proctest.CheckLeaks(t)
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, o *Options)
		want  string
	}{
		"state is rubbish": {func(t *testing.T, o *Options) {
			err := os.WriteFile(filepath.Join(o.Paths.State, "services.json"), []byte("{"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
		}, "services.json: unexpected end"},
		"lock is a link": {func(t *testing.T, o *Options) {
			err := os.Symlink("/nowhere/at/all", filepath.Join(o.Paths.State, "lock"))
			if err != nil {
				t.Fatal(err)
			}
		}, "lock: "},
		"socket is a directory": {func(t *testing.T, o *Options) {
			if err := os.MkdirAll(filepath.Join(o.Paths.Socket(), "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "remove the old control socket"},
		"path too long": {func(t *testing.T, o *Options) {
			o.Paths.Runtime = filepath.Join(o.Paths.Runtime, strings.Repeat("x", 120))
		}, "107 are possible"},
		"ready cannot be said": {func(t *testing.T, o *Options) {
			o.Ready = func() error { return errors.New("nobody listens") }
		}, "say that the supervisor is ready: nobody listens"},
		"tcp is open": {func(t *testing.T, o *Options) { o.TCP.Listen = "127.0.0.1:0" },
			"anybody could give orders"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Paths: rootPaths(t, shortDir(t))}
			tt.spoil(t, &o)
			if err := Serve(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: %v, want …%s…", err, tt.want)
			}
		})
	}
}

// Who fails to start leaves what tells of the supervisor before: its services may live, and
// commands must not say that there is none.
func TestFailedStartLeavesTheDeadSocket(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(strings.Repeat("x", minToken)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(o *Options) error{
		"port is taken": func(o *Options) error {
			o.TCP = TCP{Listen: taken.Addr().String(), TokenFile: token}
			return nil
		},
		"state is rubbish": func(o *Options) error {
			return os.WriteFile(filepath.Join(o.Paths.State, "services.json"), []byte("{"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			o := Options{Paths: rootPaths(t, shortDir(t))}
			dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.Paths.Socket(), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			dead.SetUnlinkOnClose(false)
			if err := errors.Join(dead.Close(), spoil(&o)); err != nil {
				t.Fatal(err)
			}
			if err := Serve(t.Context(), o); err == nil {
				t.Fatal("it started")
			}
			if _, err := net.Dial("unix", o.Paths.Socket()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("who asks is told: %v", err)
			}
		})
	}
}

// Looking whether the lock is held neither takes it nor keeps anybody from taking it.
func TestHolder(t *testing.T) {
	p := rootPaths(t, shortDir(t))
	if pid, held := Holder(p.State); held {
		t.Errorf("no lock: held by %d", pid)
	}
	looking, end := context.WithCancel(t.Context())
	defer end()
	var lookers sync.WaitGroup
	for range 4 {
		lookers.Go(func() {
			for looking.Err() == nil {
				Holder(p.State)
			}
		})
	}
	for range 50 {
		held, err := lock(p)
		if err != nil {
			t.Fatal(err)
		}
		if pid, there := Holder(p.State); !there || pid != os.Getpid() {
			t.Errorf("held: %d, %v", pid, there)
		}
		if err := held.release(); err != nil {
			t.Fatal(err)
		}
	}
	end()
	lookers.Wait()
	if pid, held := Holder(p.State); held {
		t.Errorf("released: held by %d", pid)
	}
}

// Where no lock file can be made the directory itself is locked, and the holder is seen as well.
func TestHolderOfTheDirectory(t *testing.T) {
	dir := shortDir(t)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if pid, held := Holder(dir); held {
		t.Errorf("held by %d", pid)
	}
	if err := sys.TryFlock(f); err != nil {
		t.Fatal(err)
	}
	if pid, held := Holder(dir); !held || pid != 0 {
		t.Errorf("not held, or by %d", pid)
	}
}
