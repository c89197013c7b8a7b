package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A service that takes more memory than it may is killed, started again as its policy says, and the
// reason is told. Its neighbour does not notice.
func TestMemory(t *testing.T) {
	s := newSite(t, `
[service.hog]
command = ["@", "hog"]
[service.hog.backoff]
first = "100ms"
[service.hog.budget]
restarts = 2
[service.hog.limits]
memory = "48MiB"
swap = "0B"
[service.neighbour]
command = ["sleep", "1000"]
`)
	s.up()
	before := s.await("neighbour", "ready")
	st := s.await("hog", "failed")
	if st.Restarts != 2 || st.Exit == nil || st.Exit.Signal != "KILL" ||
		!strings.Contains(st.Reason, "out of memory") {
		t.Errorf("hog: %+v %+v", st, st.Exit)
	}
	if n := strings.Count(s.daemonry("events", "hog"), "killed by SIGKILL (out of memory)"); n < 3 {
		t.Errorf("%d of 3 ends for want of memory are among the events:\n%s",
			n, s.daemonry("events", "hog"))
	}
	if after := s.status("neighbour"); after != before {
		t.Errorf("neighbour: %+v, was %+v", after, before)
	}
	// SIGKILL from elsewhere is something else.
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.wait("neighbour to be back", func() bool { return s.status("neighbour").Restarts == 1 })
	if st := s.status("neighbour"); st.Exit == nil || st.Exit.Text != "killed by SIGKILL" {
		t.Errorf("neighbour: %+v", st.Exit)
	}
}

// A fork bomb stays within its limit, and a stop ends all of it.
func TestTasks(t *testing.T) {
	s := newSite(t, `
[service.bomb]
command = ["sh", "-c", "bash -c 'trap \"\" TERM; bomb() { bomb | bomb & }; while :; do bomb; done' 2>/dev/null & exec sleep 1000"]
stop_timeout = "1s"
[service.bomb.limits]
tasks = 40
`)
	s.daemonry("up", "-f", s.file())
	group := groupOf(t, s.status("bomb").PID)
	if max := read(t, group+"/pids.max"); max != "40" {
		t.Errorf("pids.max is %s", max)
	}
	s.wait("the limit to be reached",
		func() bool { return value(t, group+"/pids.events", "max") > 0 })
	if n, err := strconv.Atoi(read(t, group+"/pids.current")); err != nil || n > 40 {
		t.Errorf("%d processes, %v", n, err)
	}
	if out, err := exec.Command("true").CombinedOutput(); err != nil {
		t.Errorf("nobody else can start a process: %v %s", err, out)
	}
	s.daemonry("stop", "bomb")
	if _, err := os.Stat(group); !os.IsNotExist(err) {
		t.Errorf("%s: %v: %s", group, err, read(t, group+"/cgroup.procs"))
	}
	if out, _ := exec.Command("pgrep", "-x", "bash", "-f").Output(); strings.Contains(string(out),
		"bomb") {
		t.Errorf("left: %s", out)
	}
}

// usage is the processor time, in microseconds, that a group uses in some seconds.
func usage(t *testing.T, d time.Duration, groups ...string) (used []int, took time.Duration) {
	t.Helper()
	began := time.Now()
	for _, g := range groups {
		used = append(used, -value(t, g+"/cpu.stat", "usage_usec"))
	}
	time.Sleep(d)
	for i, g := range groups {
		used[i] += value(t, g+"/cpu.stat", "usage_usec")
	}
	return used, time.Since(began)
}

func TestCPUs(t *testing.T) {
	s := newSite(t, `
[service.busy]
command = ["sh", "-c", "while :; do :; done"]
[service.busy.limits]
cpus = 0.2
`)
	s.daemonry("up", "-f", s.file())
	before := s.status("busy")
	group := groupOf(t, before.PID)
	share := func() float64 {
		used, took := usage(t, 5*time.Second, group)
		return float64(used[0]) / float64(took.Microseconds())
	}
	first := share()
	if first > 0.25 || first < 0.1 || value(t, group+"/cpu.stat", "nr_throttled") == 0 {
		t.Errorf("it has %.2f of a processor, and may have 0.20:\n%s",
			first, read(t, group+"/cpu.stat"))
	}
	// A changed limit holds at once, and the service goes on.
	s.write(strings.Replace(read(t, s.file()), "cpus = 0.2", "cpus = 0.6", 1))
	s.daemonry("up", "-f", s.file())
	s.wait("the new limit", func() bool { return read(t, group+"/cpu.max") == "60000 100000" })
	second := share()
	if second > 0.7 || second < 0.35 {
		t.Errorf("it has %.2f of a processor, and may have 0.60:\n%s",
			second, read(t, group+"/cpu.stat"))
	}
	if after := s.status("busy"); after.PID != before.PID {
		t.Errorf("it was started again: %+v, was %+v", after, before)
	}
	t.Logf("allowed 0.20, had %.3f; allowed 0.60, had %.3f", first, second)
}

func TestWeights(t *testing.T) {
	s := newSite(t, `
[service.light]
command = ["taskset", "-c", "0", "sh", "-c", "while :; do :; done"]
limits = { cpu_weight = 50, io_weight = 50 }
[service.heavy]
command = ["taskset", "-c", "0", "sh", "-c", "while :; do :; done"]
limits = { cpu_weight = 400, io_weight = 200 }
`)
	s.daemonry("up", "-f", s.file())
	light, heavy := groupOf(t, s.status("light").PID), groupOf(t, s.status("heavy").PID)
	for file, want := range map[string]string{
		light + "/cpu.weight": "50", heavy + "/cpu.weight": "400",
		light + "/io.weight": "default 50", heavy + "/io.weight": "default 200",
	} {
		if got := read(t, file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	used, _ := usage(t, 8*time.Second, light, heavy)
	ratio := float64(used[1]) / float64(max(used[0], 1))
	t.Logf("weights 400 to 50, processor time %.1f to 1", ratio)
	if ratio < 4 || ratio > 16 {
		t.Errorf("processor time %d and %d µs", used[0], used[1])
	}
}

// A supervisor in a group that was delegated to it makes room there by moving into a leaf; it
// leaves nothing behind.
func TestDelegated(t *testing.T) {
	for name, test := range map[string]struct {
		limits string
		files  map[string]string
	}{
		"all": {`cpus = 0.5, memory = "64MiB", tasks = 20`, map[string]string{
			"/cpu.max": "50000 100000", "/memory.max": "67108864", "/pids.max": "20",
		}},
		// Controllers of threads, as which a group with processes in it takes them and spoils those
		// below it.
		"tasks": {`tasks = 20`, map[string]string{"/pids.max": "20"}},
		"cpus":  {`cpus = 0.5`, map[string]string{"/cpu.max": "50000 100000"}},
	} {
		t.Run(name, func(t *testing.T) { delegated(t, test.limits, test.files) })
	}
}

func delegated(t *testing.T, limits string, files map[string]string) {
	box := newGroup(t, "box")
	s := newSite(t, "[service.a]\ncommand = [\"sleep\", \"1000\"]\nlimits = { "+limits+" }\n")
	cmd := s.command("run", "-f", s.file())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	born(t, cmd, box)
	s.wait("the supervisor", func() bool { return s.command("supervisor", "status").Run() == nil })
	st := s.await("a", "ready")
	group := groupOf(t, st.PID)
	if parent := filepath.Dir(filepath.Dir(group)); parent != box {
		t.Errorf("it runs in %s", group)
	}
	if at := groupOf(t, cmd.Process.Pid); at != box+"/supervisor" {
		t.Errorf("the supervisor is in %s", at)
	}
	for file, want := range files {
		if got := read(t, group+file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if left, _ := filepath.Glob(box + "/daemonry-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Where somebody else is in the group no controller can be handed down, and the start says so.
func TestCrowded(t *testing.T) {
	box := newGroup(t, "crowd")
	s := newSite(t, `
[service.a]
command = ["sleep", "1000"]
restart = "no"
limits = { tasks = 20 }
`)
	other := exec.Command("sleep", "1000")
	born(t, other, box)
	cmd := s.command("run", "-f", s.file())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	born(t, cmd, box)
	cmd.Wait() // with nothing left to run it ends
	if !strings.Contains(out.String(), "has other processes than the supervisor") {
		t.Errorf("%v\n%s", cmd.ProcessState, out.String())
	}
	_ = other.Process.Kill()
	other.Wait()
}

func TestDetachIntoGroup(t *testing.T) {
	box := newGroup(t, "detached")
	s := newSite(t, "")
	pid, err := strconv.Atoi(strings.TrimSpace(s.daemonry("detach", "--cgroup", box, "--",
		"sleep", "1000")))
	if err != nil {
		t.Fatal(err)
	}
	if at := groupOf(t, pid); at != box {
		t.Errorf("it runs in %s", at)
	}
	if err := os.WriteFile(box+"/cgroup.freeze", []byte("1"), 0); err != nil {
		t.Error(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	s.wait("it to be gone",
		func() bool { return strings.Contains(read(t, box+"/cgroup.events"), "populated 0") })
	out, err := s.command("detach", "--cgroup", box+"/none", "--", "sleep", "1000").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no such file") {
		t.Errorf("into a group that is not there: %v %s", err, out)
	}
}
