package sys

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

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
