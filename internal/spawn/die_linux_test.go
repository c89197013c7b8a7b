package spawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// family is a script that forks, leaves orphans behind in sessions of their
// own, and writes everybody's pid to the file $1 when all are there. With
// "stay" as $2 it stays itself.
const family = `
sleep 1000 & echo $! >$1.part
setsid sh -c 'echo $$ >>$1.part; sleep 1000 & echo $! >>$1.part; wait' sh $1 &
(sleep 1000 & echo $! >>$1.part)
echo $$ >>$1.part
while test $(wc -l <$1.part) -lt 5; do sleep 0.01; done
mv $1.part $1
test "$2" = stay && exec sleep 1000
exit 7`

// readFamily returns the pids that the script family has written.
func readFamily(t *testing.T, file string) []int {
	t.Helper()
	var pids []int
	proctest.Eventually(t, time.Minute, func() error {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return err
			}
			pids = append(pids, pid)
		}
		return nil
	})
	return pids
}

func wantGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if proctest.Alive(pid) {
			t.Errorf("process %d is alive", pid)
		}
	}
}

// rootDirs are the roots in which the watcher must not lose sight of what it is to kill.
func rootDirs(t *testing.T) []string {
	if os.Geteuid() != 0 {
		return []string{""}
	}
	// Enough of a system to run a shell, and no /proc.
	root := t.TempDir()
	for _, dir := range []string{"bin", "dev", "lib", "lib64", "tmp", "usr"} {
		if info, err := os.Stat("/" + dir); err != nil || !info.IsDir() {
			continue
		}
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(root, dir)
		if err := syscall.Mount("/"+dir, to, "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(to, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	return []string{"", root}
}

// TestNothingIsLeftOfAFailedLaunch, however the daemon forked: the launch ends
// with the death of the target or with Kill, and then everything is dead.
func TestNothingIsLeftOfAFailedLaunch(t *testing.T) {
	for i, root := range rootDirs(t) {
		for _, how := range []string{
			"it ends", "it is killed", "it is stopped", "it ignores SIGTERM",
		} {
			t.Run(fmt.Sprintf("%s/%d", how, i), func(t *testing.T) {
				proctest.CheckLeaks(t)
				file := filepath.Join(t.TempDir(), "pids")
				arg, before := "stay", ""
				switch how {
				case "it ends":
					arg = ""
				case "it ignores SIGTERM":
					before = "trap '' TERM; "
				}
				s := shell(before+family, file, arg)
				s.Chroot = root
				l, err := Detach(context.Background(), s)
				if err != nil {
					t.Fatal(err)
				}
				pids := readFamily(t, file)
				switch how {
				case "it ends":
					if e := <-l.Events; e.Exit == nil || e.Exit.Code != 7 {
						t.Errorf("event %+v", e)
					}
					err = l.Kill(0)
				case "it is stopped":
					if err := syscall.Kill(l.PID, syscall.SIGSTOP); err != nil {
						t.Error(err)
					}
					// SIGTERM must get through, and nobody waits for a minute
					err = l.Kill(time.Minute)
				case "it ignores SIGTERM":
					err = l.Kill(50 * time.Millisecond)
				default:
					err = l.Kill(0)
				}
				if err != nil {
					t.Error(err)
				}
				wantGone(t, append(pids, l.PID, l.Session))
			})
		}
	}
}

// TestWatcherKilled: a daemon that nobody watches must not live, nor what it started in its
// session.
func TestWatcherKilled(t *testing.T) {
	proctest.CheckLeaks(t)
	file := filepath.Join(t.TempDir(), "pids")
	script := "sleep 1000 & echo $! >$1.part; (sleep 1000 & echo $! >>$1.part); mv $1.part $1; " +
		"exec sleep 1000"
	l, err := Detach(context.Background(), shell(script, file))
	if err != nil {
		t.Fatal(err)
	}
	pids := readFamily(t, file)
	if err := syscall.Kill(l.watcher, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var lost error
	for e := range l.Events {
		lost = e.Lost
	}
	wantStep(t, lost, StepStart, "killed by SIGKILL")
	wantGone(t, append(pids, l.PID))
	if err := l.Kill(time.Minute); err != nil {
		t.Error(err)
	}
}

// TestWatcherKilledDuringTheStart: the launcher does not know the target's pid
// yet, and finds it by its session. The control group, a FIFO in the place of its
// file, holds the birth up; the nested stage is then started and held up the same way.
func TestWatcherKilledDuringTheStart(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprintf("nested %v", nested), func(t *testing.T) {
			proctest.CheckLeaks(t)
			group := t.TempDir()
			if err := syscall.Mkfifo(filepath.Join(group, "cgroup.procs"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := sleep()
			s.Cgroup = group
			if nested {
				s.Rlimits = []Rlimit{coreLimit(t)}
			}
			result := make(chan error)
			go func() {
				_, err := Detach(context.Background(), s)
				result <- err
			}()
			session := waitForStages(t, map[bool]int{false: 1, true: 2}[nested])
			if err := syscall.Kill(session, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			wantStep(t, <-result, StepStart, "killed by SIGKILL")
		})
	}
}

// waitForStages waits until n stages of ours sleep in one session, and returns that.
func waitForStages(t *testing.T, n int) (session int) {
	t.Helper()
	proctest.Eventually(t, time.Minute, func() error {
		var list sys.ProcList
		procs, err := list.Read()
		if err != nil {
			return err
		}
		found := 0
		for _, p := range procs {
			s, err := proctest.ReadState(p.PID)
			if err == nil && slices.Equal(s.Args, []string{stageName}) && p.PPID == os.Getpid() {
				session = p.PID
			}
		}
		for _, p := range procs {
			if p.Session == session && p.State == 'S' {
				found++
			}
		}
		if session == 0 || found < n {
			return fmt.Errorf("%d stages of %d in session %d", found, n, session)
		}
		return nil
	})
	return session
}

// TestLauncherGoneDuringTheStart: nobody hears that the target runs, so it must not go on.
func TestLauncherGoneDuringTheStart(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprintf("nested %v", nested), func(t *testing.T) {
			proctest.CheckLeaks(t)
			for range 20 {
				file := filepath.Join(t.TempDir(), "ran")
				s := shell("echo >$1; exec sleep 1000", file)
				if nested {
					s.Rlimits = []Rlimit{coreLimit(t)}
				}
				d := s.describe()
				payload, files := d.encode()
				o := &orders{watcherMagic, payload, files}
				stage, err := reexec(t.Context(), o, &d, true, nil)
				if err != nil {
					t.Fatal(err)
				}
				stage.words.close()
				if err := stage.channel.Close(); err != nil {
					t.Fatal(err)
				}
				var status syscall.WaitStatus
				if _, err := syscall.Wait4(stage.pid, &status, 0, nil); err != nil {
					t.Fatal(err)
				}
			} // and CheckLeaks says that no target is left
		})
	}
}

// launcherProgram detaches a family and waits to be killed.
var launcherProgram = proctest.Register("launcher", func(args []string) int {
	l, err := Detach(context.Background(), shell(family, args[0], "stay"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for range l.Events {
	}
	return 0
})

// TestLauncherKilled: a half-born daemon goes with the launcher.
func TestLauncherKilled(t *testing.T) {
	proctest.CheckLeaks(t)
	file := filepath.Join(t.TempDir(), "pids")
	cmd := launcherProgram.Command(t, file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids := readFamily(t, file)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for _, pid := range pids {
		proctest.Gone(t, pid)
	}
}

// TestStageKilled: a stage that is killed has not executed the target, though its channel ends just
// as if it had.
func TestStageKilled(t *testing.T) {
	proctest.CheckLeaks(t)
	group := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(group, "cgroup.procs"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sleep()
	s.Cgroup, s.Rlimits = group, []Rlimit{coreLimit(t)}
	results := make(chan error)
	go func() {
		l, err := Detach(context.Background(), s)
		if err == nil {
			err = errors.Join(errors.New("started"), l.Kill(0))
		}
		results <- err
	}()
	session := waitForStages(t, 2)
	members, err := sessionMembers(session)
	if err != nil || len(members) != 1 {
		t.Fatalf("members %v, %v", members, err)
	}
	if err := syscall.Kill(members[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantStep(t, <-results, StepStart, "killed by SIGKILL")
}

// TestRelease: the daemon lives on, in a session that nobody leads, as nobody's child but init's.
func TestRelease(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprintf("nested %v", nested), func(t *testing.T) {
			proctest.CheckLeaks(t)
			s := sleep()
			if nested {
				s.Rlimits = []Rlimit{coreLimit(t)}
			}
			l, err := Detach(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			proctest.KillAtEnd(t, l.PID)
			if err := l.Release(); err != nil {
				t.Fatal(err)
			}
			proctest.Gone(t, l.Session)
			isExecuting(t, l.PID, "sleep")
			state := proctest.Inspect(t, l.PID)
			if state.PPID != os.Getppid() || state.SID != l.Session || state.SID == l.PID ||
				state.TTY != 0 {
				t.Errorf("parent %d, session %d of %d, tty %d",
					state.PPID, state.SID, l.PID, state.TTY)
			}
		})
	}
}

// TestWhatCannotBeEnded: a program that has become another user, as by sudo(8), and that the daemon
// leaves may live for ever; whoever waits for the end of the launch does not, and hears of it.
func TestWhatCannotBeEnded(t *testing.T) {
	const env = "SPAWN_TEST_SETUID"
	if os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "setuid")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		program, err := os.ReadFile("/usr/bin/setpriv")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "setpriv")
		for _, err := range []error{
			os.WriteFile(file, program, 0o755), os.Chmod(file, 0o755|fs.ModeSetuid),
			os.Chmod(dir, 0o777|fs.ModeSticky),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(env, dir)
	}
	dir := os.Getenv(env)
	pidFile := filepath.Join(dir, "pid")
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		if dir == "" {
			return // only root can make such a program
		}
		// A real user id of ours is enough to be allowed to kill it (kill(2)), so set-user-ID alone
		// is not.
		script := `"$1/setpriv" --reuid=0 --regid=0 --clear-groups cat <&3 &
			until read name </proc/$!/comm && [ "$name" = cat ]; do :; done; echo $! >"$1/pid"; exit 7`
		r, w, err := os.Pipe() // whose end is the end of that program
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		s := shell(script, dir)
		s.Files = []File{{3, r}}
		l, err := Detach(context.Background(), s)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		if e := <-l.Events; e.Exit == nil || e.Exit.Code != 7 {
			t.Errorf("event %+v", e)
		}
		pid, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		want := "end process " + strings.TrimSpace(string(pid)) +
			", which the program has left: kill: operation not permitted"
		if err := l.Kill(0); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}
