package proctest

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// initEnv carries the pid of the init to the tests below it. It counts only in
// a child of that process, and the tests remove it before they start.
const initEnv = "PROCTEST_INIT"

// initPID is the pid of the init above this process, 0 if there is none.
var initPID int

// belowInit says whether this process is the one that runs the tests. A fuzz
// worker is, without an init: it gets its work on inherited descriptors, which
// one between would have to pass on.
func belowInit() bool {
	parent := os.Getppid()
	if os.Getenv(initEnv) == strconv.Itoa(parent) {
		initPID = parent
	}
	os.Unsetenv(initEnv)
	worker := slices.ContainsFunc(os.Args,
		func(a string) bool { return strings.HasPrefix(a, "-test.fuzzworker") })
	return worker || initPID != 0
}

// runInit runs this binary again, as a child, and adopts and reaps whatever is
// orphaned below it, as init does on a real system: a daemon that ends is gone
// at once and not a zombie of the tests. It returns the exit status of the
// tests, or 1 when they passed but left a process behind.
func runInit() int {
	if err := sys.BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, "proctest:", err)
		return 1
	}
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "proctest:", err)
		return 1
	}
	// The parent death signal goes by thread, so this one must stay.
	runtime.LockOSThread()
	child, err := os.StartProcess(exe, os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), initEnv+"="+strconv.Itoa(os.Getpid())),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "proctest:", err)
		return 1
	}
	tests := child.Pid
	forwardSignals(tests)
	code := reapUntil(tests)
	if left := killLeft(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "proctest: the tests left %d processes behind (killed):\n\t%s\n",
			len(left), strings.Join(left, "\n\t"))
		code = max(code, 1)
	}
	return code
}

// forwardSignals passes on what ends a test run: "go test" sends SIGQUIT to
// the process it knows when the time is over.
func forwardSignals(pid int) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	go func() {
		for s := range signals {
			// The tests may have ended meanwhile; nobody has reaped them then.
			_ = syscall.Kill(pid, s.(syscall.Signal))
		}
	}()
}

// reapUntil reaps every child until the one with this pid has ended, and
// returns the exit status of that one as a shell would.
func reapUntil(pid int) int {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "proctest: wait:", err)
			return 1
		case got == pid && ws.Exited():
			return ws.ExitStatus()
		case got == pid && ws.Signaled():
			fmt.Fprintln(os.Stderr, "proctest: the tests were killed by", ws.Signal())
			return 128 + int(ws.Signal())
		}
	}
}

// killLeft waits until no child is left, and kills those that do not go. It
// returns what they were.
func killLeft() []string {
	err := poll(leaveTime, childrenGone)
	if err == nil {
		return nil
	}
	var left []string
	// Killing a parent makes its children ours, so look again until none is left.
	_ = poll(leaveTime, func() error {
		for _, p := range descendants(os.Getpid()) {
			if line := p.String(); !slices.Contains(left, line) {
				left = append(left, line)
			}
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // our own descendant, so its pid is not reused
		}
		return childrenGone()
	})
	return left
}

// childrenGone reaps the children that have ended and fails while there are more.
func childrenGone() error {
	for {
		switch pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); {
		case err == syscall.ECHILD:
			return nil
		case err != nil && err != syscall.EINTR:
			return err
		case err == nil && pid == 0:
			return fmt.Errorf("children are left")
		}
	}
}
