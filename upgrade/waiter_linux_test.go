package upgrade_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

// TestKeepPID: the process that was started stays, passes signals on, takes in orphans and ends as
// the program does.
func TestKeepPID(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t, "-keep")
	for range 3 {
		old := r.pid()
		if old == r.pid1 {
			t.Fatal("the process that was started serves itself")
		}
		if pid := r.upgrade(); pid == old {
			t.Fatal("the same process serves")
		}
		proctest.Gone(t, old)
	}
	last := r.pid()
	if got := proctest.Inspect(t, last).PPID; got != r.pid1 {
		t.Errorf("the parent is %d, not %d", got, r.pid1)
	}
	hangUp(t, r.pid1) // passed on, it is the signal for an upgrade
	r.successor(last)
	r.next("crash")
	if _, err := r.try("/upgrade"); err == nil {
		t.Error("no error")
	}
	r.get("/orphan")
	last = r.pid()
	proctest.Eventually(t, patience, func() error {
		if c := childrenOf(t, r.pid1); len(c) != 1 || c[0] != fmt.Sprint(last) {
			return fmt.Errorf("children: %v, want %d", c, last)
		}
		return nil
	})
	r.try("/exit")
	<-r.ended
	if exit, ok := errors.AsType[*exec.ExitError](r.status); !ok || exit.ExitCode() != 42 {
		t.Errorf("the status: %v", r.status)
	}
}

// TestWaiterKilled: nothing serves on that nobody knows of.
func TestWaiterKilled(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t, "-keep")
	pid := r.upgrade()
	if err := syscall.Kill(r.pid1, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.ended
	proctest.Gone(t, pid)
}

// TestWaiterEndsBySignal: SIGTERM reaches the program, which ends in order.
func TestWaiterEndsBySignal(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t, "-keep")
	pid := r.upgrade()
	if err := syscall.Kill(r.pid1, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.firstEnds()
	if proctest.Alive(pid) {
		t.Error("the program has not ended before")
	}
}

// TestProcess1: in a pid namespace of its own the first process is the one that waits without being
// asked to. An ordinary user makes such a namespace within a user namespace.
func TestProcess1(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	var err error
	if r.stderr, err = os.Create(filepath.Join(r.dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stderr.Close() })
	cmd := exec.Command(r.program, r.args(nil)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	}
	r.inside = true
	r.run(cmd)
	seen := map[int]bool{r.pid(): true}
	for range 3 {
		seen[r.upgrade()] = true
	}
	if len(seen) != 4 || seen[1] {
		t.Errorf("serving were %v", seen)
	}
	r.next("crash")
	if _, err := r.try("/upgrade"); err == nil ||
		!strings.Contains(err.Error(), "cannot read the configuration") {
		t.Errorf("%v", err)
	}
	if err := syscall.Kill(r.pid1, syscall.SIGTERM); err != nil { // docker stop
		t.Fatal(err)
	}
	r.firstEnds()
}
