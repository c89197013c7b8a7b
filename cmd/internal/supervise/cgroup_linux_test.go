package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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
	if s.cgroups[""].dir != "" {
		return errors.Join(want("escapee lives", proctest.Alive(pid), false), want("groups", len(s.allGroups()), 0))
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
	if s.cgroups[""].dir == "" {
		return s.Remove(s, "bad")
	}
	parent := filepath.Join(filepath.Dir(s.cgroups[""].dir), "daemonrytest-"+short(s.dir))
	if err := os.Mkdir(parent, 0o755); err != nil {
		return err
	}
	defer os.Remove(parent)
	err = s.apply(sh("good", "exec sleep 99", named(parent)))
	path, pathErr := cgroupOf(s.one("good").PID)
	if !strings.Contains(path, "/"+filepath.Base(parent)+"/daemonry-") {
		err = errors.Join(err, fmt.Errorf("it runs in %s", path))
	}
	err = errors.Join(err, pathErr, s.Stop(s), s.inOwner(func() error { return s.cgroups[parent].close() }))
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
	err := s.apply(sh("a", `(trap "" TERM; echo up; while :; do sleep 0.05; done) & exec sleep 99`, func(c *spec.Service) {
		c.StopCommand, c.StopTimeout = spec.Command{stop}, new(spec.Duration(5*time.Second))
		c.Stop = []spec.StopStep{{Signal: spec.SignalOf(syscall.SIGTERM), Wait: spec.Duration(300 * time.Millisecond)}}
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
	if s.cgroups[""].dir != "" && has(filepath.Dir(s.cgroups[""].dir), "cgroup.controllers", "pids") {
		b, readErr := os.ReadFile(filepath.Join(s.allGroups()[0].dir, "pids.max"))
		return errors.Join(err, readErr, want("pids.max", strings.TrimSpace(string(b)), "50"))
	}
	text := `has no controller "pids"`
	if s.cgroups[""].dir == "" {
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
		if s.cgroups[""].dir != "" {
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

func TestFindCgroupMount(t *testing.T) {
	for name, test := range map[string]struct{ mounts, dir, root string }{
		"unified":   {"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", "/sys/fs/cgroup", "/"},
		"hybrid":    {"30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n31 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n", "/sys/fs/cgroup/unified", "/"},
		"bind":      {"29 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/sys/fs/cgroup", "/docker/x"},
		"space":     {`29 23 0:26 / /mnt/a\040b rw - cgroup2 cgroup rw` + "\n", "/mnt/a b", "/"},
		"version 1": {"30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup2 rw,memory\n", "", ""},
		"empty":     {"", "", ""},
		"nonsense":  {" - cgroup2 \n-\n\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "mountinfo")
			if err := os.WriteFile(file, []byte(test.mounts), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := findCgroupMount(file)
			if m.dir != test.dir || m.root != test.root || (err == nil) != (test.dir != "") {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestCgroupPaths(t *testing.T) {
	m := cgroupMount{dir: "/sys/fs/cgroup", root: "/docker/x"}
	if dir, err := m.dirOf("/docker/x/web"); dir != "/sys/fs/cgroup/web" || err != nil {
		t.Error(dir, err)
	}
	for _, path := range []string{"/", "/docker", "/docker/y", "/../up"} {
		if dir, err := m.dirOf(path); err == nil {
			t.Errorf("%s is seen at %s", path, dir)
		}
	}
	if path := m.pathOf("/sys/fs/cgroup/a/b"); path != "/docker/x/a/b" {
		t.Error(path)
	}
	if path := m.pathOf("/elsewhere"); path != "" {
		t.Error(path)
	}
	c := &cgroups{dir: "/sys/fs/cgroup/d", path: "/docker/x/d"}
	for path, want := range map[string][2]string{
		"/docker/x/daemonry-1/service-web@1+ab": {"web@1", "ab"}, "/docker/x/daemonry-1/service-web@1+ab/command": {"web@1", "ab"},
		"/docker/x/daemonry-1": {}, "/docker/x/d/supervisor": {}, "/service-web+ab": {},
	} {
		if name, invocation := startAt(path); name != want[0] || invocation != want[1] {
			t.Errorf("%s: %q, %q", path, name, invocation)
		}
	}
	if g := c.group("web", "ab"); g.path != "/docker/x/d/service-web+ab" || g.dir != "/sys/fs/cgroup/d/service-web+ab" {
		t.Errorf("%+v", g)
	}
}

// tree is a directory like that of a delegated group. What is written to its files stays, so it
// shows what the kernel would be told; that the kernel does it is shown where it has the
// controllers (groupNamesController).
func tree(t *testing.T, controllers string) *cgroups {
	parent := t.TempDir()
	c := &cgroups{dir: filepath.Join(parent, "daemonry-x"), path: "/daemonry-x"}
	group := c.group("a", "1").dir
	if err := os.MkdirAll(group, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		parent + "/cgroup.controllers": controllers, parent + "/cgroup.subtree_control": "", c.dir + "/cgroup.subtree_control": "",
		group + "/memory.max": "max", group + "/memory.high": "max", group + "/memory.swap.max": "max", group + "/cpu.max": "max 100000",
		group + "/cpu.weight": "100", group + "/pids.max": "max", group + "/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestLimitsAreWritten(t *testing.T) {
	c := tree(t, "cpu memory pids\n")
	g := c.group("a", "1")
	read := func(dir, file string) string {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	l := spec.Limits{Memory: 1 << 20, Swap: new(spec.ByteSize(0)), CPUs: 1.5, CPUWeight: 7, Tasks: 12}
	if err := g.limit(l, false); err != nil {
		t.Fatal(err)
	}
	// A file, unlike the kernel's, keeps what it had behind what is written over its beginning.
	for file, want := range map[string]string{
		g.dir + "/memory.max": "1048576", g.dir + "/memory.high": "max", g.dir + "/memory.swap.max": "0", g.dir + "/cpu.max": "150000 100000",
		g.dir + "/cpu.weight": "7", g.dir + "/pids.max": "12", filepath.Dir(c.dir) + "/cgroup.subtree_control": "+pids", c.dir + "/cgroup.subtree_control": "+pids",
	} {
		if got := read("", file); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if err := g.limit(spec.Limits{}, true); err != nil || read(g.dir, "memory.max")[:3] != "max" {
		t.Error("not lifted:", err)
	}
	if n, known := g.oomKills(); n != 2 || !known {
		t.Error("oom kills:", n, known)
	}
	err := g.limit(spec.Limits{IOWeight: 10}, false)
	if err == nil || !strings.Contains(err.Error(), `has no controller "io"`) {
		t.Error(err)
	}
}

// A group with processes is not made to hand controllers down, not even those that the kernel would
// let it: it would spoil the groups below.
func TestControllersNeedRoom(t *testing.T) {
	c := tree(t, "pids")
	parent := filepath.Dir(c.dir)
	leaf := filepath.Join(parent, "supervisor")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintln(os.Getpid())
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	write(parent+"/cgroup.type", "domain\n")
	write(leaf+"/cgroup.procs", "")
	write(parent+"/cgroup.procs", "1\n"+self)
	err := c.group("a", "1").limit(spec.Limits{Tasks: 5}, false)
	if !errors.Is(err, syscall.EBUSY) || written(parent+"/cgroup.subtree_control") != "" || written(leaf+"/cgroup.procs") != "" {
		t.Errorf("with others in it: %v", err)
	}
	write(parent+"/cgroup.procs", self)
	err = c.group("a", "1").limit(spec.Limits{Tasks: 5}, false)
	if err != nil || written(parent+"/cgroup.subtree_control") != "+pids" || written(leaf+"/cgroup.procs") != strings.TrimSpace(self) {
		t.Errorf("alone in it: %v", err)
	}
}

func TestWhoRanOutOfMemory(t *testing.T) {
	limited, unlimited := tree(t, "memory").group("a", "1"), tree(t, "").group("a", "1")
	if err := os.Remove(filepath.Join(unlimited.dir, "memory.events")); err != nil {
		t.Fatal(err)
	}
	killed, unknown, failed := &Exit{Signal: syscall.SIGKILL}, &Exit{Unknown: true}, &Exit{Code: 1}
	for _, test := range []struct {
		what  string
		group *cgroup
		state State
		exit  *Exit
		want  bool
	}{
		{"killed in its group", limited, Ready, killed, true},
		{"killed somewhere while another is", unlimited, Ready, killed, true},
		{"taken over, and memory is limited", limited, Ready, unknown, true},
		{"taken over, and memory is not", unlimited, Ready, unknown, false},
		{"taken over, and stopped by us", limited, Stopping, unknown, false},
		{"ended by itself", limited, Ready, failed, false},
	} {
		e := &Engine{kernel: kernel{oomKills: func() (uint64, error) { return 1, nil }}}
		if got := e.ranOutOfMemory(&service{group: test.group, state: test.state}, test.exit); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

// Before Linux 5.14 each process of a group is killed by itself.
func TestKillEach(t *testing.T) {
	c, err := openCgroups(CgroupAuto, filepath.Join(t.TempDir(), "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	if c.dir == "" {
		if os.Getuid() == 0 && !errors.Is(c.why, errNoCgroup2) && !errors.Is(c.why, syscall.EROFS) {
			t.Error(c.why)
		}
		return // an ordinary user has nothing to write to, and services run as before
	}
	g := c.group("x", "1")
	into, err := g.prepare(spec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "sleep 99 & sleep 99 & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(into.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	into.Close()
	deadline := time.Now().Add(10 * time.Second)
	for pids, _ := g.members(); len(pids) < 3 && time.Now().Before(deadline); pids, _ = g.members() {
		time.Sleep(time.Millisecond)
	}
	if err := g.signal(os.Getpid(), syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		t.Fatal("a process of another group:", err)
	}
	if err := g.killEach(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	for populated, _ := g.populated(); populated; populated, _ = g.populated() {
		if time.Now().After(deadline) {
			t.Fatal("something lives")
		}
		time.Sleep(time.Millisecond)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

// TestWeightOfBFQ: where the kernel has no io.weight, that of BFQ is set.
func TestWeightOfBFQ(t *testing.T) {
	g := &cgroup{all: &cgroups{}, dir: t.TempDir()}
	file := filepath.Join(g.dir, "io.bfq.weight")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for weight, want := range map[int]string{1: "1", 100: "100", 200: "109", 10000: "1000"} {
		if err := os.Truncate(file, 0); err != nil {
			t.Fatal(err)
		}
		if err := g.weigh(strconv.Itoa(weight)); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%d became %q, %v, not %s", weight, got, err, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := g.weigh("50"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "io.weight") {
		t.Errorf("without either: %v", err)
	}
}
