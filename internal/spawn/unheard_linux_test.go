package spawn

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// sockets lists the descriptors of this process that are sockets.
func sockets(t *testing.T) (list []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		fd, bad := strconv.Atoi(e.Name())
		if err == nil && bad == nil && strings.HasPrefix(to, "socket:") {
			list = append(list, fd)
		}
	}
	return list
}

// returns is the error of start, which must not wait for the end of process *pid.
func returns(t *testing.T, pid *int, start func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- start() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Errorf("it waits for process %d, which runs", *pid)
		if *pid > 0 {
			_ = syscall.Kill(*pid, syscall.SIGKILL)
		}
		return <-done
	}
}

// A stage that cannot be heard when it says that it executes the target is ended, and the target
// with it. That fails for want of memory (recvmsg(2)); here the descriptor becomes another's.
func TestStageUnheard(t *testing.T) {
	proctest.CheckLeaks(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := map[int]bool{}
	for _, fd := range sockets(t) {
		before[fd] = true
	}
	s := sleep()
	s.Session = true
	d := s.describe()
	pid := 0
	d.reached = func(step Step, _ string) {
		if step != StepExec {
			return
		}
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		for _, list := range lists {
			children, _ := os.ReadFile(list)
			for _, child := range strings.Fields(string(children)) {
				is, _ := os.ReadFile("/proc/" + child + "/cmdline")
				if strings.HasPrefix(string(is), stageName) {
					pid, _ = strconv.Atoi(child)
				}
			}
		}
		for _, fd := range sockets(t) {
			if before[fd] {
				continue
			}
			if err := syscall.Dup3(int(null.Fd()), fd, syscall.O_CLOEXEC); err != nil {
				t.Error(err)
			}
		}
	}
	err = returns(t, &pid, func() error {
		_, err := startStage(t.Context(), &d)
		return err
	})
	want := "start stage: hear how it went: recvmsg: " + syscall.ENOTSOCK.Error()
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A stage between two processes that says what nobody understands is told to end, and killed if it
// does not.
func TestIntermediateUnheard(t *testing.T) {
	for name, word := range map[string]struct {
		said []byte
		want string
	}{
		"no word to begin with": {
			[]byte{byte(frameLeft), 0, 0, 0, 0},
			"start stage: unexpected message",
		},
		"too long": {
			[]byte{byte(frameStarted), 255, 255, 255, 255},
			"start stage: hear how it went: a message of 4294967295 bytes, more than 67108864",
		},
	} {
		t.Run(name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			ours, theirs, err := sys.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			if err := theirs.Send(word.said); err != nil {
				t.Fatal(err)
			}
			pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			i := &intermediary{reborn{pid: pid, channel: ours}}
			err = returns(t, &pid, func() error {
				_, err := i.awaitStart(t.Context())
				return err
			})
			if err == nil || err.Error() != word.want {
				t.Errorf("%v, want %s", err, word.want)
			}
			if err := sys.CloseFD(int(ours)); err != nil {
				t.Error(err)
			}
			if kind, _, err := recvFrame(theirs); err != nil || kind != frameKill {
				t.Errorf("it was told %q, %v", kind, err)
			}
		})
	}
}
