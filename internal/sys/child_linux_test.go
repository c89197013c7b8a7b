package sys

import (
	"bufio"
	"os"
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

func TestZombieStatus(t *testing.T) {
	for script, want := range map[string]syscall.WaitStatus{
		"exit 0": 0, "exit 7": 7 << 8, "kill -TERM $$": 15, "ulimit -c 0; kill -ABRT $$": 6,
	} {
		t.Run(script, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			cmd := exec.Command("sh", "-c", "read x; "+script)
			cmd.Stdin = r
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r.Close()
			h, err := HoldProcess(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if _, known, err := ZombieStatus(h, cmd.Process.Pid); known || err != nil {
				t.Errorf("alive: %v, %v", known, err)
			}
			if _, err := w.WriteString("\n"); err != nil {
				t.Fatal(err)
			}
			watch, err := NewExitWatch()
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Close()
			if err := watch.Add(h, 1); err != nil {
				t.Fatal(err)
			}
			if _, err := watch.Wait(make([]ExitEvent, 1)); err != nil {
				t.Fatal(err)
			}
			status, known, err := ZombieStatus(h, cmd.Process.Pid)
			if status != want || !known || err != nil {
				t.Errorf("got %v, %v, %v; want %v", status, known, err, want)
			}
			_ = cmd.Wait() // its status is what is tested
			if _, known, err := ZombieStatus(h, cmd.Process.Pid); known || err != nil {
				t.Errorf("reaped: %v, %v", known, err)
			}
		})
	}
}
