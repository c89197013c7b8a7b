package spawn

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// starter is a program that starts another one from its main, in a state given by its argument, and says what it
// sees of itself afterwards. Its status is 1 if something is not as it should be.
var starter = proctest.Register("starter", func(args []string) int {
	before, err := sys.ReadStatus(os.Getpid())
	if err == nil {
		err = states[args[0]](&before)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// /proc/PID/status is that of the first thread, on which main has run so far.
	after, err := sys.ReadStatus(os.Getpid())
	if err == nil && (after.Umask != before.Umask || after.Ignored != before.Ignored || after.Blocked != before.Blocked) {
		err = fmt.Errorf("umask %o was %o, ignored %x was %x, blocked %x was %x",
			after.Umask, before.Umask, after.Ignored, before.Ignored, after.Blocked, before.Blocked)
	}
	if nice, e := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid()); err == nil && (e != nil || nice != 20) { // 20-nice (getpriority(2))
		err = fmt.Errorf("nice value %d, %v", 20-nice, e)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

// states are what the starter does first; then it starts processes each way in which a program can.
var states = map[string]func(before *sys.ProcStatus) error{
	"plain": func(*sys.ProcStatus) error { return startAll() },
	"ignoring a signal": func(before *sys.ProcStatus) error {
		if err := sys.IgnoreSignal(syscall.SIGHUP); err != nil {
			return err
		}
		before.Ignored = before.Ignored.Add(syscall.SIGHUP)
		return startAll()
	},
	"without unshare": func(*sys.ProcStatus) error {
		if err := refuse(syscall.SYS_UNSHARE); err != nil {
			return err
		}
		if err := sys.UnshareFS(); !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("unshare: %w, not EPERM", err)
		}
		return errors.Join(startAll(), detachOne())
	},
}

// startAll starts a process in each way that has no watcher, and looks at it.
func startAll() error {
	sp := NewSpawner()
	for _, start := range []func(*Spec) (int, error){Start, sp.Start} {
		for _, nice := range []*int{nil, new(3)} {
			s := sleep()
			s.Umask, s.Nice = new(0o077), nice
			pid, err := start(s)
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
		err = fmt.Errorf("process %d: umask %o, ignored %x, blocked %x", pid, st.Umask, st.Ignored, st.Blocked)
	}
	var status syscall.WaitStatus
	if e := syscall.Kill(pid, syscall.SIGKILL); e != nil {
		return errors.Join(err, e)
	}
	_, e := syscall.Wait4(pid, &status, 0, nil)
	return errors.Join(err, e)
}

func detachOne() error {
	s := sleep()
	s.Umask = new(0o077)
	l, err := Detach(s)
	if err != nil {
		return err
	}
	st, err := sys.ReadStatus(l.PID)
	if err == nil && st.Umask != 0o077 {
		err = fmt.Errorf("the daemon has umask %o", st.Umask)
	}
	return errors.Join(err, l.Kill(0))
}

// refuse has the kernel refuse a system call to this process and all below it with EPERM, as container engines do
// (seccomp(2)).
func refuse(call uintptr) error {
	const (
		noNewPrivs, setFilter, allThreads = 38, 1, 1 // PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
		refused, allowed                  = 0x50000 | uint32(syscall.EPERM), 0x7fff0000
	)
	seccomp := map[string]uintptr{"amd64": 317, "arm64": 277, "riscv64": 277, "386": 354, "arm": 383}[runtime.GOARCH]
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS}, // the number is the first of struct seccomp_data
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, Jf: 1, K: uint32(call)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: refused},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: allowed},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, e := syscall.Syscall6(syscall.SYS_PRCTL, noNewPrivs, 1, 0, 0, 0, 0); e != 0 {
		return os.NewSyscallError("prctl", e)
	}
	if _, _, e := syscall.Syscall(seccomp, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); e != 0 {
		return os.NewSyscallError("seccomp", e)
	}
	return nil
}

// TestStartChangesNothingHere starts processes from a main that goes on, on whatever threads the runtime gives.
func TestStartChangesNothingHere(t *testing.T) {
	proctest.CheckLeaks(t)
	for name := range states {
		for _, procs := range []string{"1", "2"} {
			t.Run(name+" on "+procs, func(t *testing.T) {
				cmd := starter.Command(t, name)
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
	pid, err := sp.Start(s)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	sp.Close()
	var status syscall.WaitStatus
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); n == pid || err != nil {
			fmt.Println(ExitOf(status), err)
			return 0
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	fmt.Println("the process lives on")
	return 1
})

// TestSpawnerNeverKeepsTheFirstThread is about a thread that does not end before the process does (runtime.mexit).
func TestSpawnerNeverKeepsTheFirstThread(t *testing.T) {
	proctest.CheckLeaks(t)
	for range 5 {
		cmd := keeper.Command(t)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "killed by SIGKILL") {
			t.Fatalf("%v: %s", err, out)
		}
	}
}
