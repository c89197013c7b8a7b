package sys

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func TestPidfdOpenRefusals(t *testing.T) {
	thread := 0 // the number of a thread is not that of a process
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if id, _ := strconv.Atoi(task.Name()); id != os.Getpid() {
			thread = id
		}
	}
	for _, pid := range []int{deadPID(t), thread, 0, -1} {
		if f, err := PidfdOpen(pid); !errors.Is(err, syscall.ESRCH) &&
			!errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("PidfdOpen(%d) = %v, %v; want ESRCH", pid, f, err)
		}
	}
}

func TestPidfdLife(t *testing.T) {
	cmd := sleeper(t)
	f, err := PidfdOpen(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	id, err := PidfdID(cmd.Process.Pid)
	otherID, otherErr := PidfdID(os.Getpid())
	if kernelHas(t, 6, 9) {
		if err != nil || otherErr != nil || otherID == id {
			t.Errorf("two processes, ids %d and %d, %v, %v", id, otherID, err, otherErr)
		}
	} else if !errors.Is(err, errors.ErrUnsupported) ||
		!errors.Is(otherErr, errors.ErrUnsupported) {
		t.Errorf("ids %d and %d, %v, %v of a kernel that has none", id, otherID, err, otherErr)
	}

	if gone, err := exited(f); gone || err != nil {
		t.Errorf("exited: %v, %v of a living process", gone, err)
	}
	wantExit(t, f, nil)

	// A wait given up leaves nothing behind that would spoil the next one.
	cause := errors.New("enough")
	for range 100 {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Microsecond, func() { cancel(cause) })
		if err := PidfdWait(ctx, f); err != cause {
			t.Fatalf("PidfdWait given up: %v, want the cause", err)
		}
	}

	waited := make(chan error)
	go func() { waited <- PidfdWait(t.Context(), f) }()
	if err := PidfdSendSignal(f, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("PidfdWait: %v", err)
	}
	if gone, err := exited(f); !gone || err != nil {
		t.Errorf("exited: %v, %v after the wait", gone, err)
	}
	wantExit(t, f, nil) // before it is reaped
	_ = cmd.Wait()
	wantExit(t, f, new(syscall.WaitStatus(syscall.SIGTERM)))
	if err := PidfdSendSignal(f, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal after the end: %v, want ESRCH", err)
	}
}

func exited(pidfd *os.File) (gone bool, err error) {
	err = WithFD(pidfd, func(fd int) (err error) {
		gone, err = BarePidfd(fd).Exited()
		return err
	})
	return gone, err
}

func TestPidfdExitCode(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "exit 7")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := PidfdOpen(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_ = cmd.Wait()
	wantExit(t, f, new(syscall.WaitStatus(7<<8)))
}

// wantExit asks how a process ended; nil: it has not been reaped. Kernels before Linux 6.15 must
// not pretend to know.
func wantExit(t *testing.T, f *os.File, want *syscall.WaitStatus) {
	t.Helper()
	var status syscall.WaitStatus
	var known bool
	err := WithFD(f, func(fd int) (err error) {
		status, known, err = BarePidfd(fd).ExitStatus()
		return err
	})
	switch {
	case !kernelHas(t, 6, 15):
		// Linux 6.13 and 6.14 have the call, which tells of the living that they live.
		if known || err != nil && !errors.Is(err, errors.ErrUnsupported) ||
			want != nil && err == nil {
			t.Errorf("exit status %v, known %v, %v of a kernel that does not tell",
				status, known, err)
		}
	case err != nil || known != (want != nil) || known && status != *want:
		t.Errorf("exit status %#x, known %v, %v; want %#x", status, known, err, want)
	}
}

// The ways with and without a pidfd must behave alike.
func TestProcess(t *testing.T) {
	for _, pidfd := range []bool{true, false} {
		t.Run("pidfd="+strconv.FormatBool(pidfd), func(t *testing.T) {
			cmd := sleeper(t)
			p, err := Pin(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if !pidfd {
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				p.pidfd = nil
			}
			if id, err := p.Identity(); err != nil || id.PID != cmd.Process.Pid || id.Boot == "" ||
				id.Start == 0 {
				t.Errorf("Identity = %+v, %v", id, err)
			}
			if err := p.Signal(0); err != nil {
				t.Errorf("signal 0: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := p.Wait(ctx); err != context.Canceled {
				t.Errorf("Wait with a context that has ended: %v", err)
			}
			if err := p.Signal(syscall.SIGKILL); err != nil {
				t.Errorf("SIGKILL: %v", err)
			}
			if err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait: %v", err)
			}
			_ = cmd.Wait()
			if err := p.Signal(0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("signal after the end: %v, want ESRCH", err)
			}
		})
	}
}

// Without a pidfd, a pid that was given to another process must not be signalled.
func TestProcessWithoutPidfdRefusesAnother(t *testing.T) {
	cmd := sleeper(t)
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	id.Start--
	p := &Process{PID: cmd.Process.Pid, identity: id}
	if err := p.Signal(syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to another process: %v, want ESRCH", err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Errorf("Wait for a process whose pid is another's: %v, want nil", err)
	}
	if s, err := ReadStat(cmd.Process.Pid); err != nil || s.Exited() {
		t.Errorf("the other one was signalled: %+v, %v", s, err)
	}
}

func TestKillRefusesGroups(t *testing.T) {
	for _, pid := range []int{0, -1, -os.Getpid()} {
		if err := Kill(pid, 0); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Kill(%d, 0) = %v, want EINVAL", pid, err)
		}
	}
}

func TestBootID(t *testing.T) {
	a, err := BootID()
	b, err2 := BootID()
	if err != nil || err2 != nil || len(a) != 36 || a != b {
		t.Errorf("BootID = %q, %v and %q, %v", a, err, b, err2)
	}
}
