// Package kernel tests on the kernel at hand what needs a machine of its own:
// limits of control groups, taking services over, and a clock that is set and stands still.
//
// The tests are root, own the machine, and are run by "run" beside this file in
// one that is thrown away afterwards. They use daemonry as its users do.
package kernel

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take. An emulated machine may be a hundred times slower than a
// real one.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && helpers[os.Args[1]] != nil {
		helpers[os.Args[1]]()
		return
	}
	if os.Getenv("DAEMONRY_GUEST") == "" {
		fmt.Fprintln(os.Stderr,
			"these tests fill memory and set the clock: .ci/kernel/run has a machine for them")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// site is a supervisor with directories of its own.
type site struct {
	*testing.T
	root string
}

// newSite has a file of services. The test's own program is @ there.
func newSite(t *testing.T, services string) site {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "k")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := site{t, root}
	s.write(strings.ReplaceAll(services, `"@"`, strconv.Quote(self)))
	t.Cleanup(func() {
		if out, err := s.command("supervisor", "stop").CombinedOutput(); err != nil &&
			!strings.Contains(string(out), "not running") {
			t.Errorf("supervisor stop: %v: %s", err, out)
		}
		if t.Failed() {
			if text, err := os.ReadFile(root + "/state/supervisor.log"); err == nil {
				t.Logf("supervisor.log:\n%s", text)
			}
		}
		os.RemoveAll(root)
	})
	return s
}

func (s site) file() string { return s.root + "/daemonry.toml" }

func (s site) write(services string) {
	s.Helper()
	if err := os.WriteFile(s.file(), []byte(services), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s site) command(args ...string) *exec.Cmd {
	cmd := exec.Command("daemonry", args...)
	cmd.Env = append(os.Environ(), "DAEMONRY_ROOT="+s.root)
	cmd.Dir = s.root
	return cmd
}

func (s site) daemonry(args ...string) string {
	s.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		s.Fatalf("daemonry %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// up has the services of the file started. Not all need come up.
func (s site) up() string {
	out, _ := s.command("up", "-f", s.file()).CombinedOutput()
	return string(out)
}

// status is what is used here of "daemonry status --json".
type status struct {
	Name, State, Reason string
	PID, Restarts       int
	Exit                *struct{ Signal, Text string }
}

func (s site) status(name string) (st status) {
	s.Helper()
	out, err := s.command("status", "--json", name).Output()
	var list []status
	if jsonErr := json.Unmarshal(out, &list); jsonErr != nil || len(list) != 1 {
		s.Fatalf("status of %s: %v, %v: %s", name, err, jsonErr, out)
	}
	return list[0]
}

// await waits until a service is in a state, and returns how it is there.
func (s site) await(name, state string) status {
	s.Helper()
	var st status
	s.wait(name+" to be "+state, func() bool {
		st = s.status(name)
		return st.State == state
	})
	return st
}

func (s site) wait(what string, done func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			status, _ := s.command("status").CombinedOutput()
			events, _ := s.command("events").CombinedOutput()
			s.Fatalf("waited in vain for %s\n%s%s", what, status, events)
		}
	}
}

// supervisor is the pid of the supervisor.
func (s site) supervisor() int {
	s.Helper()
	var about struct{ PID int }
	err := json.Unmarshal([]byte(s.daemonry("supervisor", "status", "--json")), &about)
	if err != nil {
		s.Fatal(err)
	}
	return about.PID
}

// kill ends the supervisor as if it had crashed; the next command starts another.
func (s site) kill() {
	s.Helper()
	pid := s.supervisor()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	s.wait("the supervisor to be gone",
		func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// groupOf is the directory of the control group of a process.
func groupOf(t *testing.T, pid int) string {
	t.Helper()
	text := read(t, fmt.Sprintf("/proc/%d/cgroup", pid))
	_, path, ok := strings.Cut(text, "0::")
	if !ok {
		t.Fatalf("process %d is in no group of version 2: %s", pid, text)
	}
	return filepath.Join(cgroups, strings.TrimSpace(path))
}

const cgroups = "/sys/fs/cgroup"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// value reads one of the lines "NAME NUMBER" of a file.
func value(t *testing.T, path, name string) int {
	t.Helper()
	fields := strings.Fields(read(t, path))
	i := slices.Index(fields, name)
	if i < 0 {
		t.Fatalf("%s has no %s", path, name)
	}
	n, err := strconv.Atoi(fields[i+1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newGroup makes a control group below the root, all of whose controllers are handed down to it.
func newGroup(t *testing.T, name string) string {
	t.Helper()
	for _, c := range []string{"cpu", "io", "memory", "pids"} {
		if err := os.WriteFile(cgroups+"/cgroup.subtree_control", []byte("+"+c), 0); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(cgroups, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir + "/supervisor"); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// born has a command start in a control group.
func born(t *testing.T, cmd *exec.Cmd, group string) {
	t.Helper()
	dir, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
}
