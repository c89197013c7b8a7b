package cgroup

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

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestFindMount(t *testing.T) {
	one := func(root, point, kind string) sys.Mount {
		return sys.Mount{Root: root, Point: point, Type: kind}
	}
	for name, test := range map[string]struct {
		mounts    []sys.Mount
		dir, root string
	}{
		"unified": {[]sys.Mount{one("/", "/sys/fs/cgroup", "cgroup2")}, "/sys/fs/cgroup", "/"},
		"hybrid": {[]sys.Mount{one("/", "/sys/fs/cgroup/memory", "cgroup"),
			one("/", "/sys/fs/cgroup/unified", "cgroup2")}, "/sys/fs/cgroup/unified", "/"},
		"bind": {[]sys.Mount{one("/docker/x", "/sys/fs/cgroup", "cgroup2")},
			"/sys/fs/cgroup", "/docker/x"},
		"version 1": {[]sys.Mount{one("/", "/sys/fs/cgroup/memory", "cgroup")}, "", ""},
		"empty":     {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := mountIn(test.mounts)
			if m.dir != test.dir || m.root != test.root || (err == nil) != (test.dir != "") {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	m := mount{dir: "/sys/fs/cgroup", root: "/docker/x"}
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
	c := &Parent{Dir: "/sys/fs/cgroup/d", Path: "/docker/x/d"}
	for path, want := range map[string][2]string{
		"/docker/x/daemonry-1/service-web@1+ab":         {"web@1", "ab"},
		"/docker/x/daemonry-1/service-web@1+ab/command": {"web@1", "ab"},
		"/docker/x/daemonry-1":                          {}, "/docker/x/d/supervisor": {},
		"/service-web+ab": {},
	} {
		if name, invocation := StartAt(path); name != want[0] || invocation != want[1] {
			t.Errorf("%s: %q, %q", path, name, invocation)
		}
	}
	if g := c.Group("web", "ab"); g.Path != "/docker/x/d/service-web+ab" ||
		g.Dir != "/sys/fs/cgroup/d/service-web+ab" {
		t.Errorf("%+v", g)
	}
}

// tree is a directory like that of a delegated group. What is written to its files stays, so it
// shows what the kernel would be told; that the kernel does it is shown where it has the
// controllers (groupNamesController).
func tree(t *testing.T, controllers string) *Parent {
	parent := t.TempDir()
	c := &Parent{Dir: filepath.Join(parent, "daemonry-x"), Path: "/daemonry-x"}
	group := c.Group("a", "1").Dir
	if err := os.MkdirAll(group, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		parent + "/cgroup.controllers":     controllers,
		parent + "/cgroup.subtree_control": "", c.Dir + "/cgroup.subtree_control": "",
		group + "/memory.max": "max", group + "/memory.high": "max",
		group + "/memory.swap.max": "max", group + "/cpu.max": "max 100000",
		group + "/cpu.weight": "100", group + "/pids.max": "max",
		group + "/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestLimitsAreWritten(t *testing.T) {
	c := tree(t, "cpu memory pids\n")
	g := c.Group("a", "1")
	read := func(dir, file string) string {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	l := spec.Limits{
		Memory:    1 << 20,
		Swap:      new(spec.ByteSize(0)),
		CPUs:      1.5,
		CPUWeight: 7,
		Tasks:     12,
	}
	if err := g.Limit(l, false); err != nil {
		t.Fatal(err)
	}
	// A file, unlike the kernel's, keeps what it had behind what is written over its beginning.
	for file, want := range map[string]string{
		g.Dir + "/memory.max": "1048576", g.Dir + "/memory.high": "max",
		g.Dir + "/memory.swap.max": "0", g.Dir + "/cpu.max": "150000 100000",
		g.Dir + "/cpu.weight": "7", g.Dir + "/pids.max": "12",
		filepath.Dir(c.Dir) + "/cgroup.subtree_control": "+pids",
		c.Dir + "/cgroup.subtree_control":               "+pids",
	} {
		if got := read("", file); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if err := g.Limit(spec.Limits{}, true); err != nil || read(g.Dir, "memory.max")[:3] != "max" {
		t.Error("not lifted:", err)
	}
	if n, known := g.OOMKills(); n != 2 || !known {
		t.Error("oom kills:", n, known)
	}
	err := g.Limit(spec.Limits{IOWeight: 10}, false)
	if err == nil || !strings.Contains(err.Error(), `has no controller "io"`) {
		t.Error(err)
	}
}

// A group with processes is not made to hand controllers down, not even those that the kernel would
// let it: it would spoil the groups below.
func TestControllersNeedRoom(t *testing.T) {
	c := tree(t, "pids")
	parent := filepath.Dir(c.Dir)
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
	err := c.Group("a", "1").Limit(spec.Limits{Tasks: 5}, false)
	if !errors.Is(err, syscall.EBUSY) || written(parent+"/cgroup.subtree_control") != "" ||
		written(leaf+"/cgroup.procs") != "" {
		t.Errorf("with others in it: %v", err)
	}
	write(parent+"/cgroup.procs", self)
	err = c.Group("a", "1").Limit(spec.Limits{Tasks: 5}, false)
	if err != nil || written(parent+"/cgroup.subtree_control") != "+pids" ||
		written(leaf+"/cgroup.procs") != strings.TrimSpace(self) {
		t.Errorf("alone in it: %v", err)
	}
}

// Before Linux 5.14 each process of a group is killed by itself.
func TestKillEach(t *testing.T) {
	c, err := open(Auto, filepath.Join(t.TempDir(), "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Dir == "" {
		if os.Getuid() == 0 && !errors.Is(c.why, errNone) && !errors.Is(c.why, syscall.EROFS) {
			t.Error(c.why)
		}
		return // an ordinary user has nothing to write to, and services run as before
	}
	g := c.Group("x", "1")
	into, err := g.Prepare(spec.Limits{})
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
	for pids, _ := g.Members(); len(pids) < 3 &&
		time.Now().Before(deadline); pids, _ = g.Members() {
		time.Sleep(time.Millisecond)
	}
	if err := g.Signal(os.Getpid(), syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		t.Fatal("a process of another group:", err)
	}
	if err := g.KillEach(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	for populated, _ := g.Populated(); populated; populated, _ = g.Populated() {
		if time.Now().After(deadline) {
			t.Fatal("something lives")
		}
		time.Sleep(time.Millisecond)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestWeightOfBFQ: where the kernel has no io.weight, that of BFQ is set.
func TestWeightOfBFQ(t *testing.T) {
	g := &Group{parent: &Parent{}, Dir: t.TempDir()}
	file := filepath.Join(g.Dir, "io.bfq.weight")
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
	if err := g.weigh("50"); !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "io.weight") {
		t.Errorf("without either: %v", err)
	}
}
