package daemonry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	slowinit "github.com/daemonry/daemonry/internal/proctest/slow"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/pidfile"
)

// slow is a daemon that says in its directory that Detach has returned, and becomes ready, or
// fails, when told to there.
var slow = proctest.Register("slow", func([]string) int {
	if proc, err := Detach(context.Background(), Options{}); proc != nil || err != nil {
		return 1
	}
	if err := os.WriteFile("detached", nil, 0o600); err != nil {
		return 1
	}
	for {
		if _, err := os.Stat("fail"); err == nil {
			Fail(errors.New("cannot bind"))
		}
		if _, err := os.Stat("ready"); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := Ready(); err != nil {
		return 1
	}
	time.Sleep(time.Hour)
	return 0
})

// TestPIDFileIsReplacedBeforeItIsWritten has a stranger's file take the place of ours when the
// daemon holds it already and the launcher has not written it yet. A daemon that becomes ready all
// the same is none, for nobody would find it; one that fails is heard.
func TestPIDFileIsReplacedBeforeItIsWritten(t *testing.T) {
	for _, c := range []struct{ then, want string }{
		{"ready", "wait for ready: pid file "},
		{"fail", "cannot bind"},
	} {
		t.Run(c.then, func(t *testing.T) {
			proctest.CheckLeaks(t)
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "app.pid")
			l := newLauncher(Options{PIDFile: path, Dir: dir})
			defer l.close()
			ctx := t.Context()
			if err := errors.Join(l.makePlan(ctx), l.open(ctx)); err != nil {
				t.Fatal(err)
			}
			spec, err := l.spec()
			if err != nil {
				t.Fatal(err)
			}
			spec.Path = slow.Path(t)
			d, err := spawn.Detach(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			proctest.Eventually(t, 30*time.Second, func() error {
				_, err := os.Stat(filepath.Join(dir, "detached"))
				return err
			})
			stranger := filepath.Join(dir, "stranger")
			if err := errors.Join(os.WriteFile(stranger, []byte("1\n"), 0o644),
				os.Rename(stranger, path)); err != nil {
				t.Fatal(err)
			}
			err = l.record(ctx, d.PID)
			if err != nil || !errors.Is(l.unrecorded, pidfile.ErrReplaced) {
				t.Errorf("record: %v, unrecorded because %v", err, l.unrecorded)
			}
			if err := os.WriteFile(filepath.Join(dir, c.then), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			proc, err := l.await(t.Context(), d)
			if proc != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("process %v, error %v", proc, err)
			}
			if c.then == "ready" && !errors.Is(err, pidfile.ErrReplaced) {
				t.Errorf("%v is not %v", err, pidfile.ErrReplaced)
			}
			proctest.Gone(t, d.PID)
			if b, err := os.ReadFile(path); err != nil || string(b) != "1\n" {
				t.Errorf("the stranger's pid file: %q, %v", b, err)
			}
		})
	}
}

// hurried is a launcher that has a second, of a program whose packages take an hour to be
// initialised: in the stage, or in the daemon, or in neither.
var hurried = proctest.Register("hurried", func(args []string) int {
	o, ctx := Options{Timeout: time.Second, KillGrace: -1}, context.Background()
	switch args[0] {
	case "stage, Timeout":
		os.Setenv(slowinit.Variable, "1h")
	case "stage, ctx":
		os.Setenv(slowinit.Variable, "1h")
		o.Timeout = time.Hour
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
	case "daemon, Timeout":
		o.Env = append(os.Environ(), slowinit.Variable+"=1h")
	case "daemon, deaf":
		o.Env = append(os.Environ(), slowinit.Variable+"=deaf 1h")
		o.KillGrace = time.Second
	}
	if args[0] == "Start" {
		os.Setenv(slowinit.Variable, "1h")
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		pid, err := spawn.Start(ctx,
			&spawn.Spec{Path: "/bin/true", Args: []string{"true"}, NoNewPrivs: true})
		fmt.Println(pid, err)
		return 0
	}
	proc, err := Detach(ctx, o)
	var launch *LaunchError
	if !errors.As(err, &launch) {
		fmt.Println(proc, err)
		return 1
	}
	fmt.Println(launch.ExitStatus(), err)
	return 0
})

// TestSlowInitialisation: the time of a launch begins with its first instruction, and counts while
// packages of the program are initialised.
func TestSlowInitialisation(t *testing.T) {
	for how, want := range map[string]string{
		"stage, Timeout": "124 start daemon: start stage: the stage is still at the " +
			"initialisation of the program's packages: not ready within 1s\n",
		"stage, ctx": "125 start daemon: start stage: the stage is still at the " +
			"initialisation of the program's packages: context deadline exceeded\n",
		"Start": "0 start stage: the stage is still at the initialisation of the " +
			"program's packages: context deadline exceeded\n",
		"daemon, Timeout": "124 wait for ready: daemon ",
		"daemon, deaf":    "124 wait for ready: daemon ",
	} {
		t.Run(how, func(t *testing.T) {
			proctest.CheckLeaks(t)
			out, err := hurried.Command(t, how).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("%s, %v", out, err)
			}
		})
	}
}
