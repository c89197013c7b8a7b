package detach_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
)

// TestHostileLaunchers is the table of the README: whatever state the launcher is in, the
// daemon is clean, with each kind of launch.
func TestHostileLaunchers(t *testing.T) {
	for _, l := range proctest.Launchers() {
		for _, options := range []string{"", "--ready exec", "--ready settle:1ms --rlimit core=0"} {
			t.Run(l.Name+"/"+options, func(t *testing.T) {
				proctest.CheckLeaks(t)
				pidFile := filepath.Join(t.TempDir(), "d.pid")
				h := l.Hostile
				if h.Terminal != nil {
					h.Terminal = new(proctest.Terminal)
				}
				args := append([]string{daemonry.Path(t), "detach", "--pidfile", pidFile},
					strings.Fields(options)...)
				err := h.Command(t, append(args, "--", "/bin/sleep", "1000")...).Run()
				if err != nil {
					t.Fatal(err)
				}
				pid := readPID(t, pidFile)
				proctest.KillAtEnd(t, pid)
				mustBeClean(t, pid, check.Options{PIDFile: pidFile})
				if h.Terminal != nil {
					h.Terminal.HangUp()
					if !proctest.Alive(pid) {
						t.Error("it did not survive the end of the terminal")
					}
				}
				if r := run(t, "stop", "--pidfile", pidFile); r.status != 0 {
					t.Errorf("stop: %+v", r)
				}
				proctest.Gone(t, pid)
			})
		}
	}
}

// TestFirstProcess: daemonry is pid 1 of a container, or the child of a pid 1 that does not know
// what it does.
func TestFirstProcess(t *testing.T) {
	for _, ready := range []string{"exec", "settle:10ms", "notify", "cmd:true", "fd:5"} {
		t.Run(ready, func(t *testing.T) {
			proctest.CheckLeaks(t)
			file := filepath.Join(t.TempDir(), "status")
			script := "cat /proc/self/stat >" + file + "; echo >&5; exec sleep 1000"
			if ready != "fd:5" {
				script = strings.Replace(script, ">&5", "", 1)
			}
			args := []string{
				daemonry.Path(t), "detach", "--ready", ready, "--", "/bin/sh", "-c", script,
			}
			if ready == "notify" {
				args = append(args[:5], notifier.Path(t), "READY=1")
			}
			r := finish(t, proctest.Hostile{Under: proctest.PID1}.Command(t, args...))
			if r.status != 0 || strings.TrimSpace(r.stdout) == "" {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("below it", func(t *testing.T) {
		proctest.CheckLeaks(t)
		pidFile := filepath.Join(t.TempDir(), "d.pid")
		d := daemonry.Path(t) + " "
		script := "set -e; " + d + "detach --pidfile " + pidFile + " -- sleep 1000; " +
			d + "check --pidfile " + pidFile + "; " + d + "stop --pidfile " + pidFile
		r := finish(t, proctest.Hostile{Under: proctest.PID1}.Command(t, "sh", "-c", script))
		if r.status != 0 || !strings.Contains(r.stdout, " 0 fail") {
			t.Errorf("%+v", r)
		}
	})
}

// TestHangUp: SIGHUP to the group, and the end of the terminal, while it waits and afterwards.
func TestHangUp(t *testing.T) {
	proctest.CheckLeaks(t)
	pidFile := filepath.Join(t.TempDir(), "d.pid")
	tty := new(proctest.Terminal)
	cmd := proctest.Hostile{Terminal: tty}.Command(t, daemonry.Path(t), "detach", "--pidfile",
		pidFile, "--", "sleep", "1000")
	if err := cmd.Run(); err != nil {
		t.Fatal(err, tty.HangUp())
	}
	pid := readPID(t, pidFile)
	proctest.KillAtEnd(t, pid)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGHUP); err != syscall.ESRCH {
		t.Errorf("somebody is left in the launcher's group: %v", err)
	}
	tty.HangUp()
	state := proctest.Inspect(t, pid)
	if state.TTY != 0 || state.SID == pid || os.Getpid() == state.PPID {
		t.Errorf("tty %d, session %d of %d", state.TTY, state.SID, pid)
	}
}
