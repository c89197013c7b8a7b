package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

func TestMain(m *testing.M) { proctest.Main(m) }

const mountsEnv = "BOOT_TEST_MOUNTS"

// TestFullDisk runs itself again in a mount namespace of its own (an ordinary
// user gets a user namespace as well), where a small file system is full after
// each number of files.
func TestFullDisk(t *testing.T) {
	if os.Getenv(mountsEnv) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), mountsEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	full := 0
	for inodes := 2; inodes < 12; inodes++ {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0,
			fmt.Sprintf("nr_inodes=%d", inodes)); err != nil {
			t.Fatal(err)
		}
		f := newFakeSystemd(dir + "/units")
		m := &Machine{System: Systemd, Dir: f.dir, Run: f.run}
		before := f.state(t, dir)
		p, err := m.Enable(t.Context(), services())
		if err != nil {
			t.Fatal(err)
		}
		err = p.Apply(t.Context())
		if err != nil {
			full++
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%d inodes: %v", inodes, err)
			}
			if got := f.state(t, dir); got != before {
				t.Errorf("%d inodes: left %s", inodes, got)
			}
		}
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}
	if full < 3 {
		t.Errorf("the disk was full %d times only", full)
	}
}

// TestNoRight: who may not write there changes nothing, and is told which file.
func TestNoRight(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		for _, dir := range []string{"/etc/systemd/system", "/etc"} {
			f := newFakeSystemd(dir)
			m := &Machine{System: Systemd, Dir: dir, Run: f.run}
			p, err := m.Enable(t.Context(), []spec.Service{{Name: "boot-test-x",
				Command: spec.Command{"/bin/x"}, Process: spec.Process{Chdir: "/"}}})
			if err == nil {
				err = p.Apply(t.Context())
			}
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: %v", dir, err)
			}
			if len(f.enabled)+len(f.active) > 0 {
				t.Errorf("%s: %v %v", dir, f.enabled, f.active)
			}
		}
	})
}

// scanned is a machine with a real runit or s6 that looks at a directory of the test.
func scanned(t *testing.T, system System, argv ...string) *Machine {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skip("there is no " + argv[0])
	}
	root, err := os.MkdirTemp("/tmp", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	plant(t, root, "sv", "scan")
	scan := exec.Command(argv[0], append(argv[1:], root+"/scan")...)
	if err := scan.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// HUP has runsvdir(8) end its children; s6-svscan ends its own upon TERM.
		signal := map[System]syscall.Signal{Runit: syscall.SIGHUP, S6: syscall.SIGTERM}[system]
		if err := scan.Process.Signal(signal); err != nil {
			t.Error(err)
		}
		_ = scan.Wait() // its status is of no interest
	})
	return &Machine{System: system, Dir: root + "/sv", scan: root + "/scan"}
}

// TestScanned: the whole life of a service under the real runit and s6.
func TestScanned(t *testing.T) {
	for system, argv := range map[System][]string{
		Runit: {"runsvdir", "-P"}, S6: {"s6-svscan", "-t0"},
	} {
		t.Run(string(system), func(t *testing.T) {
			m := scanned(t, system, argv...)
			root := filepath.Dir(m.Dir)
			live := []spec.Service{
				{
					Name: "web", Command: spec.Command{"/bin/sh", "-c",
						`echo "$1" >` + root + `/out; exec sleep 600`, "sh", "it's $HOME %n\n"},
					Process: spec.Process{Chdir: "/"},
					Log:     spec.Log{Targets: []spec.LogTarget{{Kind: spec.TargetNone}}},
				},
				{Name: "hand", Command: spec.Command{"/bin/sleep", "600"},
					Process: spec.Process{Chdir: "/"}, Autostart: new(false),
					Log: spec.Log{Targets: []spec.LogTarget{{Kind: spec.TargetNone}}}},
			}
			mustEnable(t, m, live)
			st, err := m.Status(t.Context(), "web")
			if err != nil || !st.Enabled || !st.Running {
				t.Errorf("status %+v, %v", st, err)
			}
			if st, err := m.Status(t.Context(), "hand"); err != nil || st.Running {
				t.Errorf("one that is started by hand: %+v, %v", st, err)
			}
			waitFor(t, "the output", func() bool {
				out, err := os.ReadFile(root + "/out")
				return err == nil && string(out) == "it's $HOME %n\n\n"
			})
			if p, err := m.Enable(t.Context(), live); err != nil || len(p.Steps()) > 0 {
				t.Errorf("again: %v, %v", p.Steps(), err)
			}
			goesOn(t, m, live)
			if err := m.Stop(t.Context(), "web"); err != nil {
				t.Error(err)
			}
			if st, err := m.Status(t.Context(), "web"); err != nil || st.Running || !st.Enabled {
				t.Errorf("stopped: %+v, %v", st, err)
			}
			if err := m.Start(t.Context(), "web"); err != nil {
				t.Error(err)
			}
			p, err := m.Disable(t.Context(), "web", "hand")
			if err == nil {
				err = p.Apply(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(m.Dir)
			links, _ := filepath.Glob(root + "/scan/[a-z]*")
			if err != nil || len(entries)+len(links) > 0 {
				t.Errorf("left: %v %v, %v", entries, links, err)
			}
			undone(t, m, live)
		})
	}
}

// goesOn: a service whose directory loses or gains a file stays as it is, linked
// and running, also when the change fails and is undone.
func goesOn(t *testing.T, m *Machine, live []spec.Service) {
	t.Helper()
	pid := func() int {
		st, err := m.Status(t.Context(), "web")
		if err != nil || !st.Running || !st.Enabled || st.PID == 0 {
			t.Fatalf("status %+v, %v", st, err)
		}
		return st.PID
	}
	before := pid()
	changed := slices.Clone(live)
	changed[0].Ready = spec.Probe{Kind: spec.ProbeFile, Target: "/"} // a "check"
	changed[1].Autostart = nil                                       // no "down"
	p, err := m.Enable(t.Context(), changed)
	if err != nil {
		t.Fatal(err)
	}
	p.add(Step{Action: Write, Path: "/proc/1/nothing"})
	if err := p.Apply(t.Context()); err == nil || strings.Contains(err.Error(), "be undone") {
		t.Errorf("error %v", err)
	}
	if st, err := m.Status(t.Context(), "hand"); err != nil || st.Running || st.Enabled {
		t.Errorf("undone: %+v, %v", st, err)
	}
	mustEnable(t, m, changed)
	if st, err := m.Status(t.Context(), "hand"); err != nil || !st.Running || !st.Enabled {
		t.Errorf("not by hand any more: %+v, %v", st, err)
	}
	mustEnable(t, m, live)
	if st, err := m.Status(t.Context(), "hand"); err != nil || st.Enabled {
		t.Errorf("by hand again: %+v, %v", st, err)
	}
	if now := pid(); now != before {
		t.Errorf("process %d has become %d", before, now)
	}
}

// undone: a failure at the end of enabling leaves nothing, and nothing running.
func undone(t *testing.T, m *Machine, live []spec.Service) {
	t.Helper()
	p, err := m.Enable(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	p.add(Step{Action: Write, Path: "/proc/1/nothing"})
	if err := p.Apply(t.Context()); err == nil || strings.Contains(err.Error(), "be undone") {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(m.Dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}
