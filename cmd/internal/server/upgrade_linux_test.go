package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// crashing and hanging are programs that would not do in the supervisor's place.
var (
	crashing = proctest.Register("crashing", func([]string) int {
		panic("a bug in the new version")
	})
	hanging = proctest.Register("hanging", func([]string) int {
		time.Sleep(time.Hour)
		return 0
	})
	// lying passes the trial and cannot be executed any more when it counts.
	lying = proctest.Register("lying", func(args []string) int {
		fmt.Println(successor.Answer("9"))
		if err := os.Remove(args[2] + "/liar"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	})
)

// TestUpgrade: the program is replaced again and again, sometimes by one that would not do, while
// services print, die and come back, and clients ask as fast as they are answered. No client sees
// an error, no service notices, no line and no exit status is lost, and nothing gathers in the
// supervisor's process.
func TestUpgrade(t *testing.T) {
	o := &ordeal{T: t, root: shortDir(t), writers: 10}
	upgrades, rest := 6, "5ms"
	if testing.Short() {
		upgrades = 3
	}
	proctest.CheckLeaks(t)
	noSubreaper(t)
	o.describe(rest)
	mortal := spec.Service{
		Name:    "mortal",
		Command: spec.Command{"sh", "-c", "sleep 0.02; exit 7"},
		Ready:   spec.Probe{Kind: spec.ProbeExec},
	}
	mortal.Restart = spec.RestartAlways
	mortal.Backoff.First, mortal.Backoff.Cap = new(spec.Duration(time.Millisecond)),
		new(spec.Duration(50*time.Millisecond))
	mortal.Budget.Restarts = new(-1)
	web := sleeper("web")
	web.Sockets = []spec.Socket{{Name: "http",
		Listen: spec.Address{Network: spec.NetUnix, Addr: filepath.Join(o.root, "web")}}}
	o.file.Services = append(o.file.Services, mortal, web)
	o.start()
	ctx := t.Context()
	// Who was up for a moment and has ended by the time that all are is none that is up.
	_, err := o.client.Apply(ctx, o.file)
	if err != nil &&
		(!strings.HasPrefix(err.Error(), "mortal: ") || strings.Contains(err.Error(), "\n")) {
		t.Fatal(err)
	}
	before := o.processes()
	var stop atomic.Bool
	var clients sync.WaitGroup
	for i := range 3 {
		clients.Go(func() { o.bother(i, &stop) })
	}
	following, cancel := context.WithCancel(ctx)
	clients.Go(func() { o.follow(following) })
	fds := 0
	for i := range upgrades {
		if i%2 == 1 {
			_, err := o.client.Upgrade(ctx, control.UpgradeRequest{Program: crashing.Path(t)})
			if err == nil {
				t.Error("one that crashes was taken")
			}
		}
		about, err := o.client.Upgrade(ctx, control.UpgradeRequest{Program: whole.Path(t)})
		if err != nil || about.PID != o.cmd.Process.Pid || about.Adopted < len(before) {
			t.Fatalf("upgrade %d: %+v, %v", i, about, err)
		}
		if i == 0 {
			fds = len(proctest.Inspect(t, about.PID).FDs)
		}
	}
	stop.Store(true)
	proctest.Eventually(t, 10*time.Second, func() error { // its own and those of clients vary
		if n := len(proctest.Inspect(t, o.cmd.Process.Pid).FDs); n > fds+5 {
			return fmt.Errorf("%d descriptors, %d after the first", n, fds)
		}
		return nil
	})
	for name, process := range o.processes() {
		if before[name] != process {
			t.Errorf("%s was process %v and is %v", name, before[name], process)
		}
	}
	cancel()
	clients.Wait()
	if err := o.client.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := o.cmd.Wait(); err != nil {
		t.Error(err)
	}
	for name := range before {
		o.checkLog(name)
	}
	for _, name := range []string{"web", "run/control.sock"} {
		if _, err := os.Lstat(filepath.Join(o.root, name)); !errors.Is(err, os.ErrNotExist) &&
			name == "web" {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

// bother asks and gives orders; any error is one too many.
func (o *ordeal) bother(i int, stop *atomic.Bool) {
	c := &control.Client{Socket: o.client.Socket}
	defer c.Close()
	for n := 0; !stop.Load(); n++ {
		var err error
		name := control.Named(fmt.Sprintf("only@%d", i+1))
		switch n % 5 {
		case 0:
			_, err = c.Status(o.Context(), control.StatusRequest{})
		case 1:
			err = c.Restart(o.Context(), name)
		case 2:
			err = c.Signal(o.Context(),
				control.SignalRequest{Names: control.Named("web"), Signal: "CONT"})
		case 3:
			if err = c.Stop(o.Context(), name); err == nil {
				err = c.Start(o.Context(), name)
			}
		case 4:
			_, err = c.Health(o.Context())
		}
		if err != nil {
			o.Errorf("client %d, request %d (%d): %v", i, n, n%5, err)
			return
		}
	}
}

// follow reads the events to the end: none is missing, and each exit is known.
func (o *ordeal) follow(ctx context.Context) {
	c := &control.Client{Socket: o.client.Socket}
	defer c.Close()
	last, exits, upgrades := uint64(0), 0, 0
	for ev, err := range c.Events(ctx, control.EventsRequest{Follow: true, New: true}) {
		if err != nil {
			if ctx.Err() == nil {
				o.Errorf("events: %v", err)
			}
			break
		}
		switch ev.Kind {
		case control.EventExit:
			if ev.Service == "mortal" {
				if exits++; ev.Exit.Code != 7 || ev.Exit.Unknown {
					o.Errorf("an exit was %+v", ev.Exit)
				}
			}
		case control.EventUpgrade:
			upgrades++
		}
		if last != 0 && ev.ID <= last {
			o.Errorf("event %d after %d", ev.ID, last)
		}
		last = ev.ID
	}
	if exits == 0 || upgrades == 0 {
		o.Errorf("%d exits and %d upgrades were seen", exits, upgrades)
	}
}

// TestUpgradeRefused: whatever is wrong with the new program, the old one goes on as it was.
func TestUpgradeRefused(t *testing.T) {
	proctest.CheckLeaks(t)
	root := shortDir(t)
	cmd, c := startWhole(t, root)
	ctx := t.Context()
	if _, err := c.Apply(ctx,
		control.ApplyRequest{Services: []spec.Service{sleeper("a")}}); err != nil {
		t.Fatal(err)
	}
	before, err := c.Supervisor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	elf, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	elf[18] ^= 0x55 // e_machine
	files := map[string][]byte{
		"foreign": elf[:4096], "empty": nil, "text": []byte("#!/nonexistent/interpreter\n"),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(lying.Path(t), filepath.Join(root, "run", "proctest-lying")); err != nil {
		t.Fatal(err)
	}
	// The file that is executed is a link, which the trial takes away: so it is not there when it
	// counts.
	liar := filepath.Join(root, "run", "liar")
	if err := os.Symlink("proctest-lying", liar); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{
		"/nonexistent":                 "no such file or directory",
		root:                           "permission denied",
		filepath.Join(root, "foreign"): "exec format error",
		filepath.Join(root, "empty"):   "exec format error",
		filepath.Join(root, "text"):    "/nonexistent/interpreter",
		"/bin/true":                    "it ended without saying that it can go on",
		crashing.Path(t):               "", // its last words are the end of a stack
		liar:                           "execute " + liar + ": no such file or directory",
		"relative":                     "not an absolute path",
	} {
		_, err := c.Upgrade(ctx, control.UpgradeRequest{Program: program})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", program, want, err)
		}
		after, err := c.Supervisor(ctx)
		if err != nil || after.PID != before.PID || !after.Started.Equal(before.Started) {
			t.Fatalf("%s: %+v, %v", program, after, err)
		}
		if err := c.Restart(ctx, control.Named("a")); err != nil {
			t.Errorf("%s: afterwards: %v", program, err)
		}
	}
	bound := sleeper("bound")
	bound.Orphan = spec.OrphanEnd
	if _, err := c.Apply(ctx,
		control.ApplyRequest{Services: []spec.Service{sleeper("a"), bound}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upgrade(ctx, control.UpgradeRequest{Program: whole.Path(t)}); err == nil ||
		!strings.Contains(err.Error(), "service bound") {
		t.Errorf("with a service that ends with its supervisor: %v", err)
	}
	if err := c.Stop(ctx, control.Named("bound")); err != nil {
		t.Fatal(err)
	}
	// who does not want to wait until it is told
	hung, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	_, err = c.Upgrade(hung, control.UpgradeRequest{Program: hanging.Path(t)})
	cancel()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging: %v", err)
	}
	proctest.Eventually(t, 20*time.Second, func() error { // it is ended when the client has gone
		_, err := c.Upgrade(ctx, control.UpgradeRequest{Program: whole.Path(t)})
		return err
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestUpgradeState: a program that is older than the state, or cannot read it, says so.
func TestUpgradeState(t *testing.T) {
	for file, tt := range map[string][2]string{
		"state/services.json": {`{"version": 99, "services": []}`, "written by a newer version"},
		"state/wanted.json": {`{"version": 1, "wanted"`,
			"wanted.json: unexpected end of JSON input"},
		"run/services.journal": {"0000000000000000 {}\n", "line 1: the checksum is wrong"},
	} {
		root := shortDir(t)
		for _, dir := range []string{"state", "run"} {
			if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(tt[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		err := successor.Check(strings.NewReader(`{"version": 2}`), filepath.Join(root, "run"),
			filepath.Join(root, "state"))
		if err == nil || !strings.Contains(err.Error(), tt[1]) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for manifest, want := range map[string]string{
		`{"version": 3}`: "written in version 3, and this program reads 2", "": "EOF",
		"{}": "version 0",
	} {
		err := successor.Check(strings.NewReader(manifest), "/nonexistent", "/nonexistent")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", manifest, err)
		}
	}
}
