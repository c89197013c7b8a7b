package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// groupCatchesEscapee stops a service one of whose processes has a session of its own, no parent,
// no environment and none of its outputs. Without control groups nobody can know it: then it is
// seen to live, and the service to be called stopped.
func groupCatchesEscapee(s scene) error {
	escape := `(setsid env -i /bin/sh -c 'exec >/dev/null 2>&1 </dev/null; trap "" TERM; echo $$ >` + s.path("escapee") + `; while :; do sleep 0.05; done' &)
		exec sleep 99`
	if err := s.apply(sh("a", escape)); err != nil {
		return err
	}
	pid, err := s.awaitPID("escapee")
	if err := errors.Join(err, s.Stop(s, "a")); err != nil {
		return err
	}
	if s.cgroups.For("").Dir != "" {
		return errors.Join(want("escapee lives", proctest.Alive(pid), false),
			want("groups", len(s.cgroups.Groups()), 0))
	}
	if !proctest.Alive(pid) {
		return errors.New("the escapee was ended, and nobody can have known whose it was")
	}
	err = sys.Kill(pid, syscall.SIGKILL)
	for s.Err() == nil { // what it has started is ours as well, and must not be left
		if children, _ := sys.Children(); len(children) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

// groupBelowNamed runs a service below a control group of the user's, and one below a directory
// that is none.
func groupBelowNamed(s scene) error {
	named := func(dir string) func(*spec.Service) {
		return func(c *spec.Service) { c.Cgroup, c.Restart = dir, spec.RestartNo }
	}
	err := s.apply(sh("bad", "exec sleep 99", named(s.dir)))
	if err == nil {
		return errors.New("started below a directory that is no control group")
	}
	if s.cgroups.For("").Dir == "" {
		return s.Remove(s, "bad")
	}
	parent := filepath.Join(filepath.Dir(s.cgroups.For("").Dir),
		"daemonrytest-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(parent, 0o755); err != nil {
		return err
	}
	defer os.Remove(parent)
	err = s.apply(sh("good", "exec sleep 99", named(parent)))
	path, pathErr := cgroup.Of(s.one("good").PID)
	if !strings.Contains(path, "/"+filepath.Base(parent)+"/daemonry-") {
		err = errors.Join(err, fmt.Errorf("it runs in %s", path))
	}
	err = errors.Join(err, pathErr, s.Stop(s),
		s.inOwner(func() error { return s.cgroups.For(parent).Close() }))
	return err
}

// inOwner runs f by the owner.
func (s scene) inOwner(f func() error) (err error) {
	askErr := s.ask(s, func() { err = f() })
	return errors.Join(askErr, err)
}

// groupSparesStopCommand stops a service whose stop command goes on for a while after the main
// process has ended, and leaves something behind that has to be killed.
func groupSparesStopCommand(s scene) error {
	stop := s.path("stop")
	script := "#!/bin/sh\nkill $MAINPID\nsleep 1\necho done >" + s.path("done") + "\n"
	if err := os.WriteFile(stop, []byte(script), 0o755); err != nil {
		return err
	}
	err := s.apply(sh("a", `(trap "" TERM; echo up; while :; do sleep 0.05; done) & exec sleep 99`,
		func(c *spec.Service) {
			c.StopCommand, c.StopTimeout = spec.Command{stop}, new(spec.Duration(5*time.Second))
			c.Stop = []spec.StopStep{{Signal: spec.SignalOf(syscall.SIGTERM),
				Wait: spec.Duration(300 * time.Millisecond)}}
			c.Ready = spec.Probe{Kind: spec.ProbeLog, Target: "^up$"}
		}))
	if err := errors.Join(err, s.Stop(s, "a")); err != nil {
		return err
	}
	_, err = os.Stat(s.path("done"))
	return err
}

// groupNamesController asks for a limit that cannot be had here, or sees it hold.
func groupNamesController(s scene) error {
	err := s.apply(sh("a", "exec sleep 99", func(c *spec.Service) {
		c.Limits.Tasks, c.Restart = 50, spec.RestartNo
	}))
	if s.cgroups.For("").Dir != "" && hasPIDs(filepath.Dir(s.cgroups.For("").Dir)) {
		b, readErr := os.ReadFile(filepath.Join(s.cgroups.Groups()[0].Dir, "pids.max"))
		return errors.Join(err, readErr, want("pids.max", strings.TrimSpace(string(b)), "50"))
	}
	text := `has no controller "pids"`
	if s.cgroups.For("").Dir == "" {
		text = "limits: no control group for the service can be made: "
	}
	if err == nil || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("start said %v, want %q", err, text)
	}
	return nil
}

// A service whose supervisor was killed is in its group still; the successor ends all of it.
func TestSuccessorEndsTheGroup(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := bereft.Command(t, dir)
	cmd.Stdout = os.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := scene{Context: t.Context(), dir: dir}
	service, err1 := s.awaitPID("service")
	escapee, err2 := s.awaitPID("escapee")
	if err := errors.Join(err1, err2, cmd.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if out, err := successor.Command(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if proctest.Alive(service) {
		t.Error("the service lives")
	}
	grouped := len(mustGlob(t, dir+"/grouped")) == 1
	if alive := proctest.Alive(escapee); alive && grouped {
		t.Error("the escapee lives")
	} else if alive {
		_ = sys.Kill(escapee, syscall.SIGKILL)
	}
	if record := mustGlob(t, dir+"/run/cgroup"); len(record) > 0 {
		t.Error("a group is left:", record)
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var bereft = proctest.Register("bereft", func(args []string) int {
	s, _, err := newScene(args[0])
	if err == nil {
		if s.cgroups.For("").Dir != "" {
			err = os.WriteFile(s.path("grouped"), nil, 0o600)
		}
		err = errors.Join(err, s.apply(sh("a", `(setsid env -i /bin/sh -c 'exec >/dev/null 2>&1 </dev/null; echo $$ >`+s.path("escapee")+`; exec sleep 99' &)
			echo $$ >`+s.path("service")+`; exec sleep 99`)))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	select {}
})

var successor = proctest.Register("successor", func(args []string) int {
	s, end, err := newScene(args[0])
	if err == nil {
		err = errors.Join(s.Stop(s, "a"), end())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

// hasPIDs says whether a control group has the controller of the number of processes.
func hasPIDs(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(b)), "pids")
}
