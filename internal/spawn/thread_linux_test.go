package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// beginner is a program that starts another one from its main, in a state given by its argument,
// and says what it sees of itself afterwards. Its status is 1 if something is not as it should be.
var beginner = proctest.Register("beginner", func(args []string) int {
	before, err := sys.ReadStatus(os.Getpid())
	// 20-nice (getpriority(2)); the tests may run under nice(1)
	niceBefore, _ := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	if err == nil {
		err = states[args[0]](&before)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// /proc/PID/status is that of the first thread, on which main has run so far.
	after, err := sys.ReadStatus(os.Getpid())
	if err == nil &&
		(after.Umask != before.Umask || after.Ignored != before.Ignored ||
			after.Blocked != before.Blocked) {
		err = fmt.Errorf("umask %o was %o, ignored %x was %x, blocked %x was %x",
			after.Umask, before.Umask, after.Ignored, before.Ignored, after.Blocked, before.Blocked)
	}
	if nice, e := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid()); err == nil &&
		(e != nil || nice != niceBefore) {
		err = fmt.Errorf("nice value %d was %d, %v", 20-nice, 20-niceBefore, e)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

// states are what the beginner does first; then it starts processes each way in which a program
// can.
var states = map[string]func(before *sys.ProcStatus) error{
	"plain": func(*sys.ProcStatus) error { return startAll() },
	"ignoring a signal": func(before *sys.ProcStatus) error {
		signal.Ignore(syscall.SIGHUP)
		before.Ignored = before.Ignored.Add(syscall.SIGHUP)
		return startAll()
	},
	"keeping capabilities": func(before *sys.ProcStatus) error {
		// prctl(2), capabilities(7)
		const setSecurebits, noSetuidFixup = 28, 1 << 2
		// for the child inherits from the thread that forks
		runtime.LockOSThread()
		if _, _, e := syscall.Syscall(syscall.SYS_PRCTL, setSecurebits, noSetuidFixup, 0); e != 0 {
			return nil // an ordinary user cannot set it, nor become another
		}
		if err := sys.SetThreadCapabilities(before.CapPrm, sys.RaiseAmbient); err != nil {
			return err
		}
		return startWithoutRights()
	},
	"without unshare": func(*sys.ProcStatus) error {
		if err := proctest.ForbidCall("unshare", syscall.EPERM); err != nil {
			return err
		}
		if err := sys.UnshareFS(); !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("unshare: %w, not EPERM", err)
		}
		return errors.Join(startAll(), detachOne())
	},
}

// startWithoutRights starts a process as another user.
func startWithoutRights() error {
	s := sleep()
	s.Credential = &sys.Credential{UID: 65534, GID: 65534}
	pid, err := Start(context.Background(), s)
	if err != nil {
		return err
	}
	st, err := sys.ReadStatus(pid)
	if err == nil && (st.CapPrm != 0 || st.CapAmb != 0 || st.UID[2] != 65534) {
		err = fmt.Errorf("the process is user %v and has the capabilities %x, ambient %x",
			st.UID, st.CapPrm, st.CapAmb)
	}
	return errors.Join(err, end(pid))
}

// startAll starts a process in each way that has no watcher, and looks at it.
func startAll() error {
	sp := NewSpawner()
	for _, start := range []func(context.Context, *Spec) (int, error){Start, sp.Start} {
		for _, nice := range []*int{nil, new(19)} {
			s := sleep()
			s.Umask, s.Nice = new(0o077), nice
			pid, err := start(context.Background(), s)
			if err != nil {
				return err
			}
			if err := asWanted(pid, 0o077); err != nil {
				return err
			}
		}
	}
	sp.Close()
	return nil
}

// asWanted says what is wrong with a started process, and ends it.
func asWanted(pid, umask int) error {
	st, err := sys.ReadStatus(pid)
	if err == nil && (st.Umask != umask || st.Ignored != 0 || st.Blocked != 0) {
		err = fmt.Errorf("process %d: umask %o, ignored %x, blocked %x",
			pid, st.Umask, st.Ignored, st.Blocked)
	}
	return errors.Join(err, end(pid))
}

func end(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	_, err := syscall.Wait4(pid, nil, 0, nil)
	return err
}

func detachOne() error {
	s := sleep()
	s.Umask = new(0o077)
	l, err := Detach(context.Background(), s)
	if err != nil {
		return err
	}
	st, err := sys.ReadStatus(l.PID)
	if err == nil && st.Umask != 0o077 {
		err = fmt.Errorf("the daemon has umask %o", st.Umask)
	}
	return errors.Join(err, l.Kill(0))
}

// TestStartChangesNothingHere starts processes from a main that goes on, on whatever threads the
// runtime gives.
func TestStartChangesNothingHere(t *testing.T) {
	proctest.CheckLeaks(t)
	for name := range states {
		for _, procs := range []string{"1", "2"} {
			t.Run(name+" on "+procs, func(t *testing.T) {
				cmd := beginner.Command(t, name)
				cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// keeper starts, from its main, a process that is to die with the Spawner, and closes that.
var keeper = proctest.Register("keeper", func([]string) int {
	sp := NewSpawner()
	s := sleep()
	s.DeathSignal = syscall.SIGKILL
	pid, err := sp.Start(context.Background(), s)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	sp.Close()
	var status syscall.WaitStatus
	end := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); n == pid || err != nil {
			fmt.Println(ExitOf(status), err)
			return 0
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	fmt.Println("the process lives on")
	return 1
})

// TestSpawnerNeverKeepsTheFirstThread is about a thread that does not end before the process does
// (runtime.mexit).
func TestSpawnerNeverKeepsTheFirstThread(t *testing.T) {
	proctest.CheckLeaks(t)
	for range 5 {
		cmd := keeper.Command(t)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "killed by SIGKILL") {
			t.Fatalf("%v: %s", err, out)
		}
	}
}
