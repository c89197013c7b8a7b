//go:build linux

package server

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// afterlife is an ordeal with services of the test's own.
func afterlife(t *testing.T, services ...spec.Service) *ordeal {
	t.Helper()
	proctest.CheckLeaks(t)
	noSubreaper(t)
	o := &ordeal{
		T:    t,
		root: shortDir(t),
		file: control.ApplyRequest{Source: "/test.toml", Services: services},
	}
	o.start()
	if _, err := o.client.Apply(t.Context(), o.file); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *ordeal) status(name string) control.Status {
	o.Helper()
	list, err := o.client.Status(o.Context(), control.StatusRequest{Names: []string{name}})
	if err != nil {
		o.Fatal(err)
	}
	return list[0]
}

// until waits for a status.
func (o *ordeal) until(name string, is func(control.Status) bool) control.Status {
	o.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		st := o.status(name)
		if is(st) {
			return st
		}
		if time.Now().After(end) {
			o.Fatalf("%s: %+v", name, st)
		}
	}
}

func (o *ordeal) end() {
	o.Helper()
	if err := errors.Join(o.client.Shutdown(o.Context()), o.cmd.Wait()); err != nil {
		o.Error(err)
	}
}

// pidIn waits for a file with a pid in it.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(end); time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil &&
			strings.HasSuffix(string(b), "\n") {
			return pid
		}
	}
	t.Fatalf("no pid in %s", file)
	return 0
}

func shell(name, script string, change ...func(*spec.Service)) spec.Service {
	s := spec.Service{
		Name:    name,
		Command: spec.Command{"/bin/sh", "-c", script},
		Ready:   spec.Probe{Kind: spec.ProbeExec},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

// One may choose to end with the supervisor, and is not counted as crashed for that.
func TestEndWithTheSupervisor(t *testing.T) {
	o := afterlife(t, shell("live", "sleep 1000"),
		shell("end", "exec sleep 1000", func(s *spec.Service) { s.Orphan = spec.OrphanEnd }))
	live, end := o.status("live"), o.status("end")
	// Threads of the supervisor come and go; that is no end of it.
	if err := o.client.Restart(t.Context(), control.Named("live")); err != nil {
		t.Fatal(err)
	}
	live = o.status("live")
	if again := o.status("end"); again.PID != end.PID {
		t.Fatalf("it ended with a thread: %+v", again)
	}
	o.kill()
	proctest.Gone(t, end.PID)
	o.start()
	if st := o.status("live"); st.PID != live.PID || st.State != control.Ready {
		t.Errorf("live: %+v", st)
	}
	if st := o.until("end", func(st control.Status) bool { return st.Ready }); st.PID == end.PID ||
		st.Restarts != 0 {
		t.Errorf("end: %+v", st)
	}
	if about, err := o.client.Supervisor(t.Context()); err != nil || about.Adopted != 1 {
		t.Errorf("taken over: %+v, %v", about, err)
	}
	o.end()
}

// How a process ended that was never our child is known where the kernel tells it (Linux 6.15).
func TestExitOfTheInherited(t *testing.T) {
	o := afterlife(t,
		shell("a", "trap 'exit 7' TERM; sleep 1000 & wait",
			func(s *spec.Service) { s.Restart = spec.RestartNo }),
		shell("dead", "sleep 1000 & wait", func(s *spec.Service) { s.Restart = spec.RestartNo }))
	pid, dead := o.status("a").PID, o.status("dead").PID
	o.kill()
	if err := sys.Kill(dead, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, dead)
	o.start()
	st := o.until("dead", func(st control.Status) bool { return st.State == control.Failed })
	// An init that has not reaped it yet lets the kernel tell it after all.
	if st.Exit == nil || st.Exit.Unknown != (st.Exit.Text == "ended, and how is not known") ||
		!st.Exit.Unknown && st.Exit.Signal != "KILL" {
		t.Errorf("dead meanwhile: %+v", st.Exit)
	}
	if err := o.client.Signal(t.Context(),
		control.SignalRequest{Names: control.Named("a"), Signal: "TERM"}); err != nil {
		t.Fatal(err)
	}
	st = o.until("a", func(st control.Status) bool { return st.State == control.Failed })
	if proctest.Alive(pid) { // who is its parent now may not have reaped it
		t.Errorf("process %d lives", pid)
	}
	if st.Exit == nil || !st.Exit.Unknown && st.Exit.Code != 7 || st.Exit.Unknown && exitTold(t) {
		t.Errorf("exit: %+v", st.Exit)
	}
	o.end()
}

// exitTold says whether this kernel tells how a process ended that is not our child.
func exitTold(t *testing.T) bool {
	self, err := sys.HoldProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	_, _, err = self.ExitStatus()
	return err == nil
}

// What an inherited service has left behind, in a session of its own and with a parent that is
// gone, ends with it: when it is stopped, and when it dies.
func TestStraysOfTheInherited(t *testing.T) {
	dir := t.TempDir()
	stray := "(setsid sh -c 'echo $$ >$FILE; exec sleep 1000' >/dev/null 2>&1 &); exec sleep 1000"
	into := func(file string) func(*spec.Service) {
		return func(s *spec.Service) {
			s.Restart, s.Env = spec.RestartNo, map[string]string{"FILE": filepath.Join(dir, file)}
		}
	}
	o := afterlife(t, shell("a", stray, into("a")), shell("b", stray, into("b")))
	a, b := pidIn(t, filepath.Join(dir, "a")), pidIn(t, filepath.Join(dir, "b"))
	o.kill()
	o.start()
	if err := o.client.Stop(t.Context(), control.Named("a")); err != nil {
		t.Fatal(err)
	}
	if proctest.Alive(a) {
		t.Error("what it left behind lives after a stop")
	}
	if err := sys.Kill(o.status("b").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	o.until("b", func(st control.Status) bool { return st.State == control.Failed })
	if proctest.Alive(b) {
		t.Error("what it left behind lives after its death")
	}
	o.end()
}

// Without a journal that can be used, services that print into their logs are found all the same,
// and not started twice.
func TestWithoutAJournal(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"zeroed": func(path string) error {
			return os.WriteFile(path, make([]byte, 5000), 0o600)
		},
		"cut short":   func(path string) error { return os.Truncate(path, 5) },
		"open to all": func(path string) error { return os.Chmod(path, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			o := afterlife(t, shell("a", "sleep 1000 & wait"))
			before := o.status("a")
			o.kill()
			if err := spoil(filepath.Join(o.root, "run", "services.journal")); err != nil {
				t.Fatal(err)
			}
			o.start()
			if st := o.status("a"); st.PID != before.PID ||
				st.State != control.Ready || !st.Wanted {
				t.Errorf("%+v", st)
			}
			// And what is known of it from now on is in a new one.
			o.kill()
			o.start()
			if st := o.status("a"); st.PID != before.PID ||
				st.State != control.Ready || !st.Wanted {
				t.Errorf("again: %+v", st)
			}
			o.end()
		})
	}
}

// A service that waits to say that it is ready says it to the next supervisor.
func TestReadyInTheAfterlife(t *testing.T) {
	wait := "while [ ! -e $FILE ]; do sleep 0.01; done; "
	file := filepath.Join(t.TempDir(), "go")
	o := &ordeal{T: t, root: shortDir(t)}
	proctest.CheckLeaks(t)
	noSubreaper(t)
	o.start()
	with := func(kind spec.Probe) func(*spec.Service) {
		return func(s *spec.Service) { s.Ready, s.Env = kind, map[string]string{"FILE": file} }
	}
	services := []spec.Service{
		shell("fd", wait+"echo >&5; exec sleep 1000", with(spec.Probe{Kind: spec.ProbeFD, FD: 5})),
		shell("log", wait+"echo it is up; exec sleep 1000",
			with(spec.Probe{Kind: spec.ProbeLog, Target: "it is up"})),
		shell("file", wait+"echo >$FILE.2; exec sleep 1000",
			with(spec.Probe{Kind: spec.ProbeFile, Target: file + ".2"})),
		shell("cmd", wait+"echo >$FILE.3; exec sleep 1000",
			with(spec.Probe{Kind: spec.ProbeCmd, Target: "test -e " + file + ".3"})),
	}
	// it ends with the supervisor
	go o.client.Apply(t.Context(), control.ApplyRequest{Services: services})
	pids := map[string]int{}
	for _, s := range services {
		end := time.Now().Add(20 * time.Second)
		for ; pids[s.Name] == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			list, err := o.client.Status(t.Context(),
				control.StatusRequest{Names: []string{s.Name}})
			if err == nil {
				pids[s.Name] = list[0].PID
			}
		}
	}
	o.kill()
	o.start()
	for _, s := range services {
		if st := o.status(s.Name); st.State != control.Starting || st.PID != pids[s.Name] {
			t.Errorf("before: %+v", st)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		st := o.until(s.Name, func(st control.Status) bool { return st.State != control.Starting })
		if st.State != control.Ready || st.PID != pids[s.Name] {
			t.Errorf("after: %+v", st)
		}
	}
	o.end()
}
