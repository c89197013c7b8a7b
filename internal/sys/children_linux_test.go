package sys

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
)

// The children of a process are all seen, however many pages the kernel needs to name them, and so
// are theirs.
func TestManyChildren(t *testing.T) {
	const script = `i=0
while [ $i -lt 1200 ]; do sleep 1000 & i=$((i+1)); done
(sleep 1000 & sleep 1000 & echo up; wait) &
wait`
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	defer func() {
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // says that it was killed
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if list, err := ChildrenOf(pid); err != nil || len(list) != 1201 {
		t.Errorf("%d children, %v", len(list), err)
	}
	if list, err := DescendantsOf(pid); err != nil || len(list) != 1203 {
		t.Errorf("%d descendants, %v", len(list), err)
	}
	a := NewActivity(pid)
	if d, err := a.Look(nil); err != nil || d.Threads != 1204 || len(a.Processes()) != 1204 {
		t.Errorf("seen at work: %d of %d, %v", d.Threads, len(a.Processes()), err)
	}
}
